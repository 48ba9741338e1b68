/** `bootswarm prefetch`: has nodes fetch an image before anybody needs it; lists such orders, and cancels them. */
import { OperatorError } from '@bootswarm/stdx';
import type { NodeSummary, PrefetchRequest, PrefetchSummary } from '@bootswarm/tracker';
import { Command } from 'commander';
import { adminToken, givenToken } from '../admin-token.ts';
import type { CliContext } from '../cli-context.ts';
import { countOf } from '../count-text.ts';
import { findTracker, type TrackerOptions, withTrackerOption } from '../daemons.ts';
import { OptionsError, renderFailure } from '../failure.ts';
import { left, renderTable, right } from '../table.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { printable } from '../terminal-text.ts';

interface Options extends TrackerOptions {
  readonly nodes?: string;
  readonly zone?: string;
  readonly percent?: number;
  readonly minCopies?: number;
  readonly bootOrderOnly?: boolean;
  readonly priority?: number;
  readonly deadline?: number;
  readonly ttl?: number;
  readonly pin?: boolean;
  readonly json?: boolean;
}

interface ListOptions extends TrackerOptions {
  readonly json?: boolean;
}

const ORDERS = [
  ...[left('ORDER'), left('IMAGE'), left('STATE'), right('PRIORITY'), left('PIN'), right('NODES')],
  ...[right('DONE'), right('FAILED'), left('EXPIRES')],
];
const NODES = [left('NODE'), left('STATE'), right('PIECES'), left('WHY')];

const NO_ORDERS = 'no prefetch orders: bootswarm prefetch IMAGE --percent 20 gives one';
/** Named in one message. */
const ABSENT_TOLD = 10;
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

export function prefetchCommand({ terminal }: CliContext): Command {
  const command = new Command('prefetch')
    .description('Have nodes fetch an image before a VM needs it.')
    .argument('<image>', 'id, beginning of the id, or name')
    .option('--nodes <names>', 'these nodes, with commas between them')
    .option('--zone <zone>', 'nodes of this zone')
    .option('--percent <n>', 'so many of the nodes of each zone', numberOf('--percent', 1, 100))
    .option('--min-copies <n>', 'on so many nodes at least', numberOf('--min-copies', 1, 10_000))
    .option('--boot-order-only', 'only what VMs read while they boot, as far as it is learned')
    .option(
      '--priority <n>',
      'the highest goes first, 0 to 9 (else 5)',
      numberOf('--priority', 0, 9),
    )
    .option('--deadline <time>', 'who is not done by then is late: 90s, 30m, 12h, 7d', secondsOf)
    .option('--ttl <time>', 'then the order is over (else when it is cancelled)', secondsOf)
    .option('--pin', 'keep it in the caches while the order lasts')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Needs the admin token: BOOTSWARM_TOKEN, or on the tracker's host the file admin.token in its data directory.

Nodes are chosen once and stay chosen; when one fails or leaves, another of its zone takes its place.

Examples:
  bootswarm prefetch debian-12 --percent 100
  bootswarm prefetch debian-12 --zone az1 --percent 20 --boot-order-only --deadline 10m
  bootswarm prefetch worker --min-copies 3 --pin --ttl 7d
  bootswarm prefetch worker --nodes cmp-1,cmp-2 --priority 9
  bootswarm prefetch list
  bootswarm prefetch show 5f2c9a0b1d3e4f60
  bootswarm prefetch cancel 5f2c9a0b1d3e4f60`,
    )
    .action((image: string, options: Options) => order(image, options, terminal))
    .enablePositionalOptions();
  command.addCommand(listCommand(terminal));
  command.addCommand(showCommand(terminal));
  command.addCommand(cancelCommand(terminal));
  return withTrackerOption(command);
}

async function order(image: string, options: Options, terminal: Terminal): Promise<void> {
  const { nodes, zone, percent, minCopies, bootOrderOnly, priority, deadline, ttl, pin } = options;
  const hasScope = [zone, percent, minCopies].some((each) => each !== undefined);
  if (hasScope === (nodes !== undefined)) {
    throw new OptionsError(
      'bad-options',
      hasScope ? '--nodes goes with no other scope' : 'it is not said which nodes are meant',
      'give --nodes, or any of --zone, --percent and --min-copies; all nodes are --percent 100',
    );
  }
  const request: PrefetchRequest = {
    image,
    nodes: nodes?.split(',').filter((node) => node !== ''),
    ...{ zone, percent, minCopies, bootOrderOnly, priority, pin },
    deadlineSeconds: deadline,
    ttlSeconds: ttl,
  };
  const tracker = findTracker(options, terminal.env);
  const token = await adminToken(tracker, terminal.env);
  const summary = await tracker.post<PrefetchSummary>('/v1/prefetches', request, undefined, token);
  if (options.json) return printJson(terminal.stdout, summary);
  const count = countOf(summary.nodes.length, 'node');
  print(terminal.stdout, `order ${summary.id}: ${printable(summary.imageName)} on ${count}`);
  const { nodes: connected } = await tracker.get<{ nodes: NodeSummary[] }>('/v1/nodes', token);
  const doubt = doubtOf(summary, new Set(connected.map(({ node }) => node)));
  if (doubt !== undefined) print(terminal.stderr, renderFailure(doubt));
}

/** An order is taken for whoever comes later too, so that a misspelt node or zone would just never be done. */
function doubtOf(summary: PrefetchSummary, connected: Set<string>): OperatorError | undefined {
  if (summary.nodes.length === 0) {
    return new OperatorError(
      'no-node-meant',
      'no connected node is meant by it',
      'bootswarm nodes lists nodes and their zones; those that come are taken in',
    );
  }
  const absent = summary.nodes.map(({ node }) => node).filter((node) => !connected.has(node));
  if (absent.length === 0) return undefined;
  const more = absent.length > ABSENT_TOLD ? ` and ${absent.length - ABSENT_TOLD} more` : '';
  return new OperatorError(
    'nodes-absent',
    `not connected: ${absent.slice(0, ABSENT_TOLD).join(', ')}${more}`,
    'bootswarm nodes lists who is; they begin when they are there',
  );
}

function listCommand(terminal: Terminal): Command {
  const command = new Command('list')
    .description('List prefetch orders, the oldest first.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  bootswarm prefetch list\n  bootswarm prefetch list --json',
    )
    .action(async (options: ListOptions) => {
      const tracker = findTracker(options, terminal.env);
      const answer = await tracker.get<{ prefetches: PrefetchSummary[] }>(
        '/v1/prefetches',
        givenToken(terminal.env),
      );
      if (options.json) return printJson(terminal.stdout, answer);
      if (answer.prefetches.length === 0) return print(terminal.stdout, NO_ORDERS);
      const rows = answer.prefetches.map(orderRow);
      print(terminal.stdout, renderTable(ORDERS, rows, terminal.stdout.columns));
    });
  return withTrackerOption(command);
}

function showCommand(terminal: Terminal): Command {
  const command = new Command('show')
    .description('Show how far each node of a prefetch order is.')
    .argument('<order>', 'its id')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  bootswarm prefetch show 5f2c9a0b1d3e4f60')
    .action(async (id: string, options: ListOptions) => {
      const tracker = findTracker(options, terminal.env);
      const summary = await tracker.get<PrefetchSummary>(orderPath(id), givenToken(terminal.env));
      if (options.json) return printJson(terminal.stdout, summary);
      print(terminal.stdout, renderTable(ORDERS, [orderRow(summary)], terminal.stdout.columns));
      const rows = summary.nodes.map(({ node, state, piecesHad, piecesWanted, code }) => [
        ...[node, state, `${piecesHad} of ${piecesWanted}`, code],
      ]);
      print(terminal.stdout, renderTable(NODES, rows, terminal.stdout.columns));
    });
  return withTrackerOption(command);
}

function cancelCommand(terminal: Terminal): Command {
  const command = new Command('cancel')
    .description('End a prefetch order: nothing more is fetched for it, and its pins are released.')
    .argument('<order>', 'its id')
    .addHelpText('after', '\nExamples:\n  bootswarm prefetch cancel 5f2c9a0b1d3e4f60')
    .action(async (id: string, options: TrackerOptions) => {
      const tracker = findTracker(options, terminal.env);
      await tracker.delete(orderPath(id), await adminToken(tracker, terminal.env));
      print(terminal.stdout, `cancelled ${id}`);
    });
  return withTrackerOption(command);
}

function orderPath(id: string): string {
  return `/v1/prefetches/${encodeURIComponent(id)}`;
}

function orderRow(summary: PrefetchSummary): string[] {
  const { id, imageName, image, state, isLate, priority, pin, nodes, expiresAt } = summary;
  const count = (wanted: string): string =>
    String(nodes.filter((node) => node.state === wanted).length);
  return [
    ...[
      id,
      imageName || image,
      isLate ? `${state}, late` : state,
      String(priority),
      pin ? 'yes' : 'no',
    ],
    ...[String(nodes.length), count('done'), count('failed'), expiresAt ?? ''],
  ];
}

function numberOf(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw new OptionsError(
      'bad-options',
      `${option} ${text} is out of range`,
      `give a whole number from ${min} to ${max}`,
    );
  };
}

function secondsOf(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * UNIT_SECONDS[match[2]];
  if (seconds > 0) return seconds;
  throw new OptionsError('bad-options', `${text} is no time`, 'write it as 90s, 30m, 12h or 7d');
}
