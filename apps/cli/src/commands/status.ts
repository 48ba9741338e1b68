/** `bootswarm status`: what this node's agent does, per image and per VM. */
import type {
  AgentStatus,
  ImageStatus,
  NbdStatus,
  NovaStatus,
  Supervision,
  VmStatus,
} from '@bootswarm/agent';
import { Command } from 'commander';
import { formatBytes } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import { countOf, countText, durationText } from '../count-text.ts';
import { type AgentOptions, findAgent, withAgentOption } from '../daemons.ts';
import { left, renderTable, right } from '../table.ts';
import { print, printJson } from '../terminal.ts';
import { printable } from '../terminal-text.ts';

interface Options extends AgentOptions {
  readonly json?: boolean;
}

const READ_COLUMNS = [right('CACHE'), right('PEERS'), right('ORIGIN'), right('ZERO')];
const IMAGE_COLUMNS = [
  ...[left('IMAGE'), right('PIECES'), right('DISK'), right('TOUCHED'), ...READ_COLUMNS],
  ...[right('IN'), right('OUT'), right('SENT'), right('WASTED'), right('NODES'), right('WAITING')],
];
const VM_COLUMNS = [left('VM'), left('IMAGE'), right('NBD'), ...READ_COLUMNS];

export function statusCommand({ terminal }: CliContext): Command {
  const command = new Command('status')
    .description("Show this node's images and VMs: pieces held, and where bytes came from.")
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
CACHE, PEERS, ORIGIN and ZERO are bytes that guests read, by where they were when the read arrived. PIECES are held, of those
that are not zero; DISK is what they take, TOUCHED were read by a guest here; IN and OUT are rates; WAITING are reads that wait,
and the longest wait.

Examples:
  bootswarm status
  bootswarm status --run ~/run
  bootswarm status --json | jq '.images[] | {name, piecesHad, pieceCount}'`,
    )
    .action(async (options: Options) => {
      const status = await findAgent(options, terminal.env).get<AgentStatus>('/v1/status');
      if (options.json) printJson(terminal.stdout, status);
      else print(terminal.stdout, describeStatus(status, terminal.stdout.columns));
    });
  return withAgentOption(command);
}

function describeStatus(status: AgentStatus, widthMax?: number): string {
  const { tracker, images, vms } = status;
  const connected = tracker.isConnected ? 'connected' : 'not connected; running swarms carry on';
  const uptime = durationText(status.uptimeSeconds);
  const head = [
    `node     ${printable(status.node)} (zone ${printable(status.zone)}, rack ${printable(status.rack)})`,
    `agent    ${status.version}, pid ${status.pid}, up ${uptime}, ${formatBytes(status.rssBytes)} of memory`,
    `tracker  ${printable(tracker.url)} (${connected})`,
    `peers    ${status.peerAddress}`,
    `cache    ${printable(status.cacheDir)} (${describeUse(status)})`,
    `scrub    ${describeScrub(status)}`,
    `nbd      ${describeNbd(status.nbd)}`,
    ...describeFiles(status),
    `kept by  ${describeSupervision(status.supervision)}`,
    ...describeAlarms(status),
  ].join('\n');
  const imageTable = renderTable(IMAGE_COLUMNS, images.map(imageRow), widthMax);
  const vmTable = renderTable(VM_COLUMNS, vms.map(vmRow), widthMax);
  return [
    head,
    images.length === 0 ? 'no images: bootswarm attach IMAGE serves one' : imageTable,
    vms.length === 0 ? 'no VMs: bootswarm vm create IMAGE --name NAME makes one' : vmTable,
  ].join('\n\n');
}

function describeUse({ cache: { bytesUsed, bytesMax, isFull } }: AgentStatus): string {
  const limit = bytesMax === null ? 'on disk' : `of ${formatBytes(bytesMax)}`;
  const full = isFull ? '; full: what is fetched now stays in memory only' : '';
  return `${formatBytes(bytesUsed)} ${limit}${full}`;
}

/** All images together: what matters is whether it goes on, and what it found. */
function describeScrub({ cache, images }: AgentStatus): string {
  if (cache.scrubBytesPerSecond === 0) return 'off';
  const sum = (key: 'passes' | 'piecesChecked' | 'piecesDamaged') =>
    images.reduce((total, { scrub }) => total + scrub[key], 0);
  const passes = sum('passes') === 1 ? '1 pass' : `${countText(sum('passes'))} passes`;
  const done = `${passes} and ${countOf(sum('piecesChecked'), 'piece')}`;
  const rate = `${formatBytes(cache.scrubBytesPerSecond)}/s at most`;
  const damaged = sum('piecesDamaged');
  const were = damaged === 1 ? 'was' : 'were';
  return `${done} (${rate}); ${countOf(damaged, 'piece')} ${were} damaged, and fetched again`;
}

function describeSupervision(supervision: Supervision): string {
  switch (supervision.by) {
    case 'nobody':
      return 'nobody: guests wait until it is started again';
    case 'systemd':
      return 'systemd, which keeps its socket and starts the next agent';
    case 'socket-holder': {
      const { holderPid, successorPid } = supervision;
      const successor =
        successorPid === null ? 'a successor is being loaded' : `successor ${successorPid} waits`;
      return `socket holder ${holderPid}; ${successor}`;
    }
  }
}

function describeAlarms({ alarms }: AgentStatus): string[] {
  return alarms.flatMap(({ code, subject, reason, hint, since }) => [
    `ALARM    ${code} of ${printable(subject)}: ${printable(reason)} (since ${since})`,
    `         → ${printable(hint)}`,
  ]);
}

function describeNbd(nbd: NbdStatus): string {
  const { address, tcpError, connections, replyBytes, replyBytesMax } = nbd;
  const clients = connections === 1 ? '1 client' : `${connections} clients`;
  const replies = `${formatBytes(replyBytes)} of ${formatBytes(replyBytesMax)} held for replies`;
  const tcp = address === undefined ? [] : [`also at ${address}`];
  const failure = tcpError === undefined ? [] : [`not on TCP: ${printable(tcpError)}`];
  return [clients, replies, ...tcp, ...failure].join(', ');
}

/** For Nova and others that know no NBD. */
function describeFiles({ fuse, glanceProxy }: AgentStatus): string[] {
  const lines: string[] = [];
  if (fuse !== undefined) {
    const open = `, ${countOf(fuse.openFiles, 'file')} open, ${countOf(fuse.readsWaiting, 'read')} wait`;
    const use = fuse.isMounted ? open : ' IS NOT MOUNTED ANY MORE: start the agent anew';
    lines.push(`fuse     ${printable(fuse.directory)}${use}`);
  }
  if (fuse?.nova !== undefined) lines.push(`nova     ${describeNova(fuse.nova)}`);
  if (glanceProxy !== undefined) {
    const { address, filesServed, filesPassed, bytesServed } = glanceProxy;
    const served = `${countOf(filesServed, 'file')} (${formatBytes(bytesServed)}) from the swarm`;
    lines.push(`glance   ${address}, ${served}, ${countText(filesPassed)} from Glance`);
  }
  return lines;
}

const BASE_IMAGES: readonly [state: NovaStatus['links'][number]['state'], what: string][] = [
  ['swarm', 'from the swarm'],
  ['file', 'a whole file of ours'],
  ['foreign', "Nova's own"],
  ['none', 'not there yet'],
];

function describeNova({ links, refusal }: NovaStatus): string {
  if (refusal !== null) return `KEEPS NO LINKS: ${printable(refusal)}`;
  const kinds = BASE_IMAGES.flatMap(([state, what]) => {
    const count = links.filter((link) => link.state === state).length;
    return count === 0 ? [] : [`${countText(count)} ${what}`];
  });
  return [countOf(links.length, 'base image'), kinds.join(', ')].filter(Boolean).join(': ');
}

function imageRow(image: ImageStatus): string[] {
  const { readsWaiting, oldestReadWaitMs } = image;
  return [
    image.name,
    `${image.piecesHad - image.zeroPieces}/${image.pieceCount - image.zeroPieces}`,
    formatBytes(image.diskBytes),
    String(image.piecesTouched),
    ...readCells(image),
    ...[image.bytesPerSecondIn, image.bytesPerSecondOut].map((rate) => `${formatBytes(rate)}/s`),
    ...[image.bytesSent, image.bytesWasted].map(formatBytes),
    String(image.peers),
    readsWaiting === 0 ? '0' : `${readsWaiting} (${(oldestReadWaitMs / 1000).toFixed(1)} s)`,
  ];
}

function vmRow(vm: VmStatus): string[] {
  return [vm.name, vm.imageName, String(vm.connections), ...readCells(vm)];
}

function readCells({ read }: ImageStatus | VmStatus): string[] {
  return [read.cache, read.peers, read.origin, read.zero].map(formatBytes);
}
