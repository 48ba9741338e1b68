/** What a demo found, as tables and sentences for people and as one JSON document for scripts. Measures nothing. */
import type { ReadBytes } from '@bootswarm/agent';
import { formatBytes } from '../byte-size.ts';
import { left, renderTable, right } from '../table.ts';
import type { GuestState } from './guest.ts';
import type { Accelerator } from './qemu-command.ts';
import { addRead, NOTHING_READ, type ReceivedBytes } from './storm-traffic.ts';

export interface GuestResult {
  readonly name: string;
  readonly node: string;
  readonly state: GuestState;
  readonly read: ReadBytes;
}

export interface DemoResult {
  readonly image: string;
  readonly accelerator: Accelerator;
  readonly guests: readonly GuestResult[];
  readonly received: ReceivedBytes;
  /** Bytes of the distinct pieces that guests read. */
  readonly bytesNeeded: number;
  readonly originBytesSent: number;
}

const COLUMNS = [
  ...[left('VM'), left('NODE'), left('STATE'), right('BOOT')],
  ...[right('CACHE'), right('PEERS'), right('ORIGIN')],
];

/** Where bytes were when a guest read them, in words. */
const SOURCES = [
  ['cache', 'the node had the piece already'],
  ['peers', 'another node sent it'],
  ['origin', 'the origin sent it straight to the node'],
  ['zero', 'known to be zero, sent by nobody'],
] as const;

export function bootedCount(guests: readonly Pick<GuestResult, 'state'>[]): number {
  return guests.filter(({ state }) => state.type === 'ready').length;
}

/** One row per VM; bytes are what it read, by where they were. `now` is performance.now(). */
export function guestTable(guests: readonly GuestResult[], now: number, widthMax?: number): string {
  const rows = guests.map(({ name, node, state, read }) => [
    ...[name, node, state.type, bootSeconds(state, now)],
    ...[read.cache, read.peers, read.origin].map(formatBytes),
  ]);
  return renderTable(COLUMNS, rows, widthMax);
}

/** Everything to say at the end; the last line is the summary. */
export function describeResult(result: DemoResult, now: number, widthMax?: number): string {
  const { guests, bytesNeeded, originBytesSent } = result;
  const failures = guests.flatMap(({ name, state }) =>
    state.type === 'failed'
      ? [`${name} failed: ${state.reason}\n${indent(state.consoleTail)}`]
      : [],
  );
  const origin =
    `origin sent ${formatBytes(originBytesSent)}; needed were ${formatBytes(bytesNeeded)}: ` +
    'every piece that some guest read, counted once';
  return [
    guestTable(guests, now, widthMax),
    ...failures,
    describeSources(result),
    `${origin}\n${summary(result)}`,
  ].join('\n\n');
}

/** `V/V VMs booted, origin sent X.XX x the bytes needed` */
export function summary({ guests, bytesNeeded, originBytesSent }: DemoResult): string {
  const ratio = originRatio(bytesNeeded, originBytesSent).toFixed(2);
  const booted = `${bootedCount(guests)}/${guests.length} VMs booted`;
  return `${booted}, origin sent ${ratio} x the bytes needed`;
}

/** The document of --json. */
export function resultDocument(result: DemoResult): object {
  const { image, accelerator, guests, bytesNeeded, originBytesSent } = result;
  return {
    ...{ image, accelerator, booted: bootedCount(guests), total: guests.length },
    ...{ bytesNeeded, originBytesSent, originRatio: originRatio(bytesNeeded, originBytesSent) },
    ...{ read: totalRead(guests), received: result.received },
    vms: guests.map(({ name, node, state, read }) => ({ name, node, state, read })),
  };
}

function describeSources({ guests, received }: DemoResult): string {
  const read = totalRead(guests);
  const total = read.cache + read.peers + read.origin + read.zero;
  const rows = SOURCES.map(([source, words]) => [
    ...[source, formatBytes(read[source])],
    `${total === 0 ? 0 : Math.round((100 * read[source]) / total)} %`,
    source === 'peers' || source === 'origin' ? formatBytes(received[source]) : '-',
    words,
  ]);
  const columns = [
    left('FROM'),
    right('GUESTS READ'),
    right(''),
    right('NODES RECEIVED'),
    left(''),
  ];
  return renderTable(columns, rows);
}

function totalRead(guests: readonly GuestResult[]): ReadBytes {
  return guests.map(({ read }) => read).reduce(addRead, NOTHING_READ);
}

function originRatio(needed: number, sent: number): number {
  return needed === 0 ? 0 : sent / needed;
}

function bootSeconds(state: GuestState, now: number): string {
  if (state.type === 'ready') return `${state.seconds.toFixed(1)} s`;
  return state.type === 'booting' ? `${((now - state.startedAt) / 1000).toFixed(0)} s` : '-';
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}
