/** `bootswarm watch`: the whole cloud in a terminal, painted anew every second from the tracker's overview. */
import { OperatorError } from '@bootswarm/stdx';
import type { Overview } from '@bootswarm/tracker';
import { Command } from 'commander';
import { givenToken } from '../admin-token.ts';
import type { CliContext } from '../cli-context.ts';
import { findTracker, type TrackerOptions, withTrackerOption } from '../daemons.ts';
import { describeOverview, OverviewHistory } from '../overview-text.ts';
import { print } from '../terminal.ts';

interface Options extends TrackerOptions {
  readonly json?: boolean;
}

/** To the corner; each line clears what is right of it, and the last what is below. */
const HOME = '\u001b[H';
const CLEAR_RIGHT = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

export function watchCommand({ terminal }: CliContext): Command {
  const command = new Command('watch')
    .description('Show live what the cloud does: storms, images, nodes, alarms. Ctrl-C ends it.')
    .option('--json', 'print each overview on a line')
    .addHelpText(
      'after',
      `
CACHE, PEERS and ORIGIN are bytes that guests read, by where they were; the graphs are the last minute, second by second, some
seconds late. SHARE is what the origin sent of all that nodes received: 1 / nodes is the best there can be.
Images that Glance keeps private are shown to who has the admin token in BOOTSWARM_TOKEN.

Examples:
  bootswarm watch
  bootswarm watch --json | jq -c '.storm'`,
    )
    .action(async (options: Options) => {
      const { stdout } = terminal;
      const history = new OverviewHistory();
      const events = findTracker(options, terminal.env).getEvents<Overview>(
        '/v1/overview/stream',
        givenToken(terminal.env),
      );
      for await (const overview of events) {
        if (options.json) {
          print(stdout, JSON.stringify(overview));
          continue;
        }
        const { columns = 80, rows = Number.POSITIVE_INFINITY, isTTY = false } = stdout;
        const lines = describeOverview(history.merged(overview), columns);
        if (isTTY) paint(stdout, lines.slice(0, rows - 1));
        else print(stdout, `${lines.join('\n')}\n`);
      }
      throw new OperatorError(
        'tracker-stopped',
        'the tracker has ended the stream',
        'look whether it runs, then start bootswarm watch again',
      );
    });
  return withTrackerOption(command);
}

function paint(stdout: CliContext['terminal']['stdout'], lines: readonly string[]): void {
  stdout.write(HOME + lines.map((line) => `${line}${CLEAR_RIGHT}\n`).join('') + CLEAR_BELOW);
}
