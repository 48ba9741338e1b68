/** `bootswarm withdraw`: takes an image out of the tracker's catalogue. */
import { Command } from 'commander';
import { adminToken } from '../admin-token.ts';
import type { CliContext } from '../cli-context.ts';
import { findTracker, type TrackerOptions, withTrackerOption } from '../daemons.ts';
import { imagePath } from '../image-text.ts';
import { print } from '../terminal.ts';

export function withdrawCommand({ terminal }: CliContext): Command {
  const command = new Command('withdraw')
    .description('Take an image out of the catalogue; the original file is not touched.')
    .argument('<image>', 'id, beginning of the id, or name')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm withdraw debian-12
  BOOTSWARM_TOKEN=$(cat token) bootswarm withdraw 3f9a --tracker http://10.0.0.5:7420`,
    )
    .action(async (image: string, options: TrackerOptions) => {
      const tracker = findTracker(options, terminal.env);
      await tracker.delete(imagePath(image), await adminToken(tracker, terminal.env));
      print(terminal.stdout, `withdrew ${image}`);
    });
  return withTrackerOption(command);
}
