/** What a storm looks like to a reader: the table that is printed, and the JSON. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type StormResult, timesOf } from '@bootswarm/sim';
import { type MeasuredRealStorm, realRows } from './real/real-report.ts';

/** A storm, and what it took to simulate it. */
export interface MeasuredStorm extends StormResult {
  readonly wallSeconds: number;
  /** The most memory that the process had at any time. */
  readonly rssMib: number;
}

/** Of simulated storms, or of a real one. */
export interface StormReport<Storm = MeasuredStorm> {
  readonly bench: 'storm';
  readonly commit: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly policies: readonly Storm[];
}

export function reportOf<Storm>(
  options: Readonly<Record<string, unknown>>,
  policies: readonly Storm[],
): StormReport<Storm> {
  return { bench: 'storm', commit: commitOf(), options, policies };
}

/** Of this checkout. */
export function commitOf(): string {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
}

/** Times of guests that never became ready, Infinity here, are null there. */
export function writeReport(path: string, report: StormReport<unknown>): void {
  // Lists of numbers on one line: a curve has a thousand of them.
  const text = JSON.stringify(report, rounded, 2).replace(/\[[\d.,\s[\]]+\]/g, (list) =>
    list.replace(/\s+/g, ''),
  );
  writeFileSync(path, `${text}\n`);
}

/** Nothing in a storm is known to a thousandth of a thousandth. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1e6) / 1e6 : value;
}

export function printStorm(storm: MeasuredStorm | MeasuredRealStorm): void {
  const isReal = 'real' in storm;
  console.log(isReal ? `${storm.policy}, real programs` : storm.policy);
  const rows = [...rowsOf(storm), ...(isReal ? realRows(storm) : simulatedRows(storm))];
  for (const [name, text] of rows) console.log(`  ${name.padEnd(22)} ${text}`);
}

function rowsOf(storm: MeasuredStorm | MeasuredRealStorm): [string, string][] {
  const { healthy } = storm;
  const stalls = [storm.readStallMsP50, storm.readStallMsP99, storm.readStallMsP999];
  const isHit = healthy.vms < storm.vms || storm.guestsWaiting > 0;
  const { join } = storm;
  const reasons = Object.entries(storm.originRequests)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${reason} ${count}`);
  const warm: [string, string] = [
    'the same, warm',
    `${seconds(storm.warmLastVmSeconds)}; cold / warm ${storm.coldWarmRatio.toFixed(3)}`,
  ];
  const waiting: [string, string] = ['VMs still waiting', `${storm.guestsWaiting} of ${storm.vms}`];
  const alone: [string, string] = [
    'healthy nodes alone',
    `last ${seconds(healthy.lastVmSeconds)}, p99 ${seconds(healthy.p99VmSeconds)}; ${healthy.vms} VMs`,
  ];
  const hit = healthy.vms === 0 ? [waiting] : [alone, waiting];
  return [
    ['last VM ready', `${seconds(storm.lastVmSeconds)} after the first arrived`],
    ...(Number.isNaN(storm.coldWarmRatio) ? [] : [warm]),
    [
      'a VM, mean',
      `${seconds(storm.meanVmSeconds)}; p99 ${seconds(storm.p99VmSeconds)}, p99.9 ${seconds(storm.p999VmSeconds)}`,
    ],
    ...(isHit ? hit : []),
    [
      'fluid limit',
      `${seconds(storm.fluidLimitSeconds)}; last VM ${(storm.lastVmSeconds / storm.fluidLimitSeconds).toFixed(3)} x`,
    ],
    [
      'origin sent',
      `${mib(storm.originBytes)} MiB, ${storm.originRatio.toFixed(3)} x the bytes needed`,
    ],
    ['  asked because', reasons.join(', ') || '-'],
    ...(join === undefined ? [] : joinRows(join)),
    [
      'reads that stalled',
      `${stalls.map((ms) => ms.toFixed(1)).join(' / ')} ms (p50 / p99 / p99.9)`,
    ],
    ['brought and not used', `${storm.prefetchedUnusedRatio.toFixed(2)} x what was used`],
  ];
}

function simulatedRows(storm: MeasuredStorm): [string, string][] {
  const { stallsBySource } = storm;
  return [
    ['stalls ended by', `peers ${stallsBySource.peers}, origin ${stallsBySource.origin}`],
    [
      'into one zone',
      `${mib(storm.zoneBytesMax)} MiB at most, ${timesOf(storm.zoneBytesMax, storm.neededBytes).toFixed(3)} x`,
    ],
    ['wires left as wrong', String(storm.bans)],
    [
      'simulated',
      `${storm.events} events in ${storm.wallSeconds.toFixed(1)} s, ${storm.rssMib.toFixed(0)} MiB`,
    ],
    ['event log', storm.eventLogHash],
  ];
}

function joinRows(join: NonNullable<StormResult['join']>): [string, string][] {
  const { joinMsP50, joinMsMax, trackerBytes, layerBytes } = join;
  return [
    ['joined', `in ${joinMsP50.toFixed(0)} ms (p50), ${joinMsMax.toFixed(0)} ms (last)`],
    [
      '  sent for that',
      `tracker ${mib(trackerBytes)} MiB, origin ${mib(layerBytes)} MiB of piece layer`,
    ],
  ];
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
