/** `bootswarm nodes`: the agents that are connected to the tracker. */
import type { NodeSummary } from '@bootswarm/tracker';
import { Command } from 'commander';
import { givenToken } from '../admin-token.ts';
import type { CliContext } from '../cli-context.ts';
import { findTracker, type TrackerOptions, withTrackerOption } from '../daemons.ts';
import { left, renderTable, right } from '../table.ts';
import { print, printJson } from '../terminal.ts';

interface Options extends TrackerOptions {
  readonly json?: boolean;
}

const COLUMNS = [
  ...[left('NODE'), left('ZONE'), left('RACK'), left('ADDRESS'), right('IMAGES')],
  left('CONNECTED SINCE'),
];

const NO_NODES = 'no nodes: bootswarm agent --tracker URL, on a compute node, adds one';

export function nodesCommand({ terminal }: CliContext): Command {
  const command = new Command('nodes')
    .description('List the nodes whose agents are connected to the tracker.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm nodes
  bootswarm nodes --tracker http://10.0.0.5:7420 --json`,
    )
    .action(async (options: Options) => {
      const tracker = findTracker(options, terminal.env);
      const answer = await tracker.get<{ nodes: NodeSummary[] }>(
        '/v1/nodes',
        givenToken(terminal.env),
      );
      if (options.json) return printJson(terminal.stdout, answer);
      if (answer.nodes.length === 0) return print(terminal.stdout, NO_NODES);
      const rows = answer.nodes.map((node) => [
        ...[node.node, node.zone, node.rack, node.address, String(node.images.length)],
        node.connectedSince,
      ]);
      print(terminal.stdout, renderTable(COLUMNS, rows, terminal.stdout.columns));
    });
  return withTrackerOption(command);
}
