/** `bootswarm attach` and `detach`: an image as an NBD export of this node's agent. */
import type { ExportInfo } from '@bootswarm/agent';
import { Command } from 'commander';
import type { CliContext } from '../cli-context.ts';
import { type AgentOptions, findAgent, withAgentOption } from '../daemons.ts';
import { imagePath } from '../image-text.ts';
import { print, printJson } from '../terminal.ts';

interface Options extends AgentOptions {
  readonly json?: boolean;
}

export function attachCommand({ terminal }: CliContext): Command {
  const command = new Command('attach')
    .description('Serve an image over NBD on this node and print its NBD URI.')
    .argument('<image>', 'id, beginning of the id, or name')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm attach debian-12
  nbdinfo "$(bootswarm attach debian-12)"
  qemu-img info "$(bootswarm attach debian-12)"`,
    )
    .action(async (image: string, options: Options) => {
      const info = await findAgent(options, terminal.env).post<ExportInfo>('/v1/exports', {
        image,
      });
      if (options.json) printJson(terminal.stdout, info);
      else print(terminal.stdout, info.uri);
    });
  return withAgentOption(command);
}

export function detachCommand({ terminal }: CliContext): Command {
  const command = new Command('detach')
    .description('Stop serving an image on this node; its cache stays.')
    .argument('<image>', 'id, beginning of the id, or name')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm detach debian-12
  bootswarm detach 3f9a --run ~/run`,
    )
    .action(async (image: string, options: AgentOptions) => {
      await findAgent(options, terminal.env).delete(imagePath(image, '/v1/exports'));
      print(terminal.stdout, `detached ${image}`);
    });
  return withAgentOption(command);
}
