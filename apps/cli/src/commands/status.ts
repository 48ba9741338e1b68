/** `bootswarm status`: what this node's agent does, per image and per VM. */
import type { AgentStatus, ImageStatus, NbdStatus, Supervision, VmStatus } from '@bootswarm/agent';
import { Command } from 'commander';
import { formatBytes } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
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
CACHE, PEERS, ORIGIN and ZERO are bytes that guests read, by where they were when the read arrived. PIECES are held, DISK is
what they take, TOUCHED were read by a guest here; IN and OUT are rates; WAITING are reads that wait, and the longest wait.

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
  const uptime = `${Math.round(status.uptimeSeconds)} s`;
  const head = [
    `node     ${printable(status.node)} (zone ${printable(status.zone)}, rack ${printable(status.rack)})`,
    `agent    ${status.version}, pid ${status.pid}, up ${uptime}, ${formatBytes(status.rssBytes)} of memory`,
    `tracker  ${printable(tracker.url)} (${connected})`,
    `peers    ${status.peerAddress}`,
    `cache    ${printable(status.cacheDir)} (${describeUse(status)})`,
    `scrub    ${describeScrub(status)}`,
    `nbd      ${describeNbd(status.nbd)}`,
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
  const done = `${sum('passes')} passes and ${sum('piecesChecked')} pieces`;
  const rate = `${formatBytes(cache.scrubBytesPerSecond)}/s at most`;
  return `${done} (${rate}); ${sum('piecesDamaged')} pieces were damaged, and fetched again`;
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

function imageRow(image: ImageStatus): string[] {
  const { readsWaiting, oldestReadWaitMs } = image;
  return [
    image.name,
    `${image.piecesHad}/${image.pieceCount}`,
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
