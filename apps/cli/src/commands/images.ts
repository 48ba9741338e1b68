/** `bootswarm images`: what the tracker's catalogue holds, all of it or one image. */
import type { BootOrderSummary, ImageSummary, SwarmSummary } from '@bootswarm/tracker';
import { Command } from 'commander';
import { givenToken } from '../admin-token.ts';
import { formatBytes } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import {
  type AgentOptions,
  findAgent,
  findTracker,
  type TrackerOptions,
  withAgentOption,
  withTrackerOption,
} from '../daemons.ts';
import { describeLength, imagePath, shortId } from '../image-text.ts';
import { left, renderTable, right } from '../table.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { printable } from '../terminal-text.ts';

interface Options extends TrackerOptions {
  readonly json?: boolean;
}

const COLUMNS = [
  ...[left('NAME'), left('ID'), right('SIZE'), right('WITH DATA'), left('STATE')],
  ...[left('PUBLISHED'), left('SOURCE')],
];

export function imagesCommand(context: CliContext): Command {
  const { terminal } = context;
  const command = new Command('images')
    .description('List the images of the catalogue.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Images that Glance keeps private are listed to who has the admin token in BOOTSWARM_TOKEN.

Examples:
  bootswarm images
  bootswarm images --json | jq -r '.images[].id'
  bootswarm images show debian-12
  bootswarm images evict debian-12`,
    )
    .addCommand(showCommand(context))
    .addCommand(evictCommand(context))
    .action((options: Options) => listImages(options, terminal));
  return withTrackerOption(command);
}

function showCommand({ terminal }: CliContext): Command {
  return new Command('show')
    .description(
      'Show one image, the boot orders learned of it, and the nodes that hold pieces of it.',
    )
    .argument('<image>', 'id, beginning of the id, or name')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm images show debian-12
  bootswarm images show 3f9a --json`,
    )
    .action((image: string, _: unknown, command: Command) =>
      showImage(image, command.optsWithGlobals<Options>(), terminal),
    );
}

function evictCommand({ terminal }: CliContext): Command {
  const command = new Command('evict')
    .description(
      "Remove an image that no guest uses from this node's cache; the catalogue keeps it.",
    )
    .argument('<image>', 'id, beginning of the id, or name')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm images evict debian-12
  bootswarm images evict 3f9a --run ~/run`,
    )
    .action(async (image: string, _: unknown, called: Command) => {
      const options = called.optsWithGlobals<AgentOptions>();
      await findAgent(options, terminal.env).delete(imagePath(image));
      print(terminal.stdout, `evicted ${image}`);
    });
  return withAgentOption(command);
}

async function listImages(options: Options, terminal: Terminal): Promise<void> {
  const tracker = findTracker(options, terminal.env);
  const path = '/v1/images';
  const answer = await tracker.get<{ images: ImageSummary[] }>(path, givenToken(terminal.env));
  if (options.json) return printJson(terminal.stdout, answer);
  if (answer.images.length === 0) {
    return print(terminal.stdout, 'no images: bootswarm publish FILE --name NAME makes one');
  }
  const rows = answer.images.map((image) => [
    ...[image.name, shortId(image.id), formatBytes(image.length), formatBytes(dataBytes(image))],
    ...[image.state, image.createdAt, sourceText(image)],
  ]);
  print(terminal.stdout, renderTable(COLUMNS, rows, terminal.stdout.columns));
}

async function showImage(name: string, options: Options, terminal: Terminal): Promise<void> {
  const tracker = findTracker(options, terminal.env);
  const token = givenToken(terminal.env);
  const image = await tracker.get<ImageSummary>(imagePath(name), token);
  const { kinds } = await tracker.get<BootOrderSummary>(`${imagePath(image.id)}/boot-order`);
  const { swarms } = await tracker.get<{ swarms: SwarmSummary[] }>('/v1/swarms', token);
  const swarm = swarms.find((candidate) => candidate.image === image.id);
  if (options.json) return printJson(terminal.stdout, { image, bootOrders: kinds, swarm });
  const lines = [
    `name       ${printable(image.name)}`,
    `id         ${image.id}`,
    `size       ${describeLength(image)}`,
    `source     ${printable(sourceText(image))} (${image.sourceFormat})`,
    `published  ${image.createdAt}`,
    `state      ${image.state}`,
    `prejoin    ${image.prejoin === 'all' ? 'all agents' : 'no agent'}`,
    `origin     sent ${formatBytes(swarm?.origin.bytesSent ?? 0)}`,
    `members    ${swarm?.members.length ?? 0}`,
    `boots      ${kinds.length === 0 ? 'nothing learned yet' : kindsText(kinds.length)}`,
  ];
  print(terminal.stdout, lines.join('\n'));
  if (kinds.length > 0) {
    print(terminal.stdout, `\n${bootOrderTable(kinds, terminal.stdout.columns)}`);
  }
  if (swarm === undefined || swarm.members.length === 0) return;
  print(terminal.stdout, `\n${memberTable(swarm, image, terminal.stdout.columns)}`);
}

function sourceText({ source, glance }: ImageSummary): string {
  if (glance === undefined) return source;
  return `${glance.name === '' ? source : `${glance.name} of Glance`}, ${glance.visibility}`;
}

function kindsText(count: number): string {
  return count === 1 ? 'one kind of VM' : `${count} kinds of VM`;
}

/** What VMs read first, by kind of VM. */
function bootOrderTable(kinds: BootOrderSummary['kinds'], widthMax?: number): string {
  const columns = [
    ...[left('KIND'), right('BOOTS'), right('PIECES'), right('SIZE'), left('LAST LEARNED')],
  ];
  const rows = kinds.map(({ boots, pieces, bytes, lastLearnedAt }, index) => [
    ...[String(index + 1), String(boots), String(pieces), formatBytes(bytes), lastLearnedAt],
  ]);
  return renderTable(columns, rows, widthMax);
}

function memberTable(swarm: SwarmSummary, image: ImageSummary, widthMax?: number): string {
  const columns = [
    ...[left('NODE'), left('ADDRESS'), right('PIECES')],
    ...[right('FROM PEERS'), right('FROM ORIGIN'), right('SENT')],
  ];
  const rows = swarm.members.map((member) => [
    ...[member.node, member.address, `${dataHad(member, image)}/${dataPieces(image)}`],
    ...[member.bytesFromPeers, member.bytesFromOrigin, member.bytesSent].map(formatBytes),
  ]);
  return renderTable(columns, rows, widthMax);
}

/** Zero pieces never move; the last piece counts as a whole one. */
function dataBytes(image: ImageSummary): number {
  return Math.min(image.length, dataPieces(image) * image.pieceLength);
}

function dataPieces({ pieceCount, zeroPieces }: ImageSummary): number {
  return pieceCount - zeroPieces;
}

/** A node that has just joined says 0, zeros included. */
function dataHad(member: SwarmSummary['members'][number], { zeroPieces }: ImageSummary): number {
  return Math.max(0, member.piecesHad - zeroPieces);
}
