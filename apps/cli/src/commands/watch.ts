/** `bootswarm watch`: the whole cloud in a terminal, painted anew every second from the tracker's overview. */
import { Command } from 'commander';
import { givenToken } from '../admin-token.ts';
import type { CliContext } from '../cli-context.ts';
import { findTracker, type TrackerOptions, withTrackerOption } from '../daemons.ts';
import { followOverview } from '../overview-feed.ts';
import { describeOverview, OverviewHistory } from '../overview-text.ts';
import { type Output, print, type Terminal } from '../terminal.ts';
import { cutToWidth, printable } from '../terminal-text.ts';

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
seconds late. FROM THE ORIGIN is what it sent of all that nodes received: 1 / nodes is the best there can be.
While the tracker is away the last picture stays, below a line that says why; it goes on when the tracker is back.
Images that Glance keeps private are shown to who has the admin token in BOOTSWARM_TOKEN.

Examples:
  bootswarm watch
  bootswarm watch --json | jq -c '.storm'`,
    )
    .action((options: Options) => watch(options, terminal));
  return withTrackerOption(command);
}

async function watch(options: Options, terminal: Terminal): Promise<void> {
  const { stdout, stderr } = terminal;
  const isPainted = stdout.isTTY === true && options.json !== true;
  const show = (lines: readonly string[]): void => {
    if (isPainted) paint(stdout, lines.slice(0, (stdout.rows ?? Number.POSITIVE_INFINITY) - 1));
    else print(stdout, `${lines.join('\n')}\n`);
  };
  const tracker = findTracker(options, terminal.env);
  let history = new OverviewHistory();
  let lines: readonly string[] = [];
  let isLost = false;
  for await (const event of followOverview(tracker, givenToken(terminal.env))) {
    const { columns = 80 } = stdout;
    if (event.type === 'lost') {
      const told = `${printable(event.reason)}; trying again`;
      if (isPainted) show([cutToWidth(`LOST     ${told}`, columns), '', ...lines]);
      else if (!isLost) print(stderr, `bootswarm: ${told}`);
      isLost = true;
      continue;
    }
    isLost = false;
    if (options.json) {
      print(stdout, JSON.stringify(event.overview));
      continue;
    }
    if (event.isFirst) history = new OverviewHistory();
    lines = describeOverview(history.merged(event.overview), columns);
    show(lines);
  }
}

function paint(stdout: Output, lines: readonly string[]): void {
  stdout.write(HOME + lines.map((line) => `${line}${CLEAR_RIGHT}\n`).join('') + CLEAR_BELOW);
}
