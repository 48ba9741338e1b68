/**
 * How long a guest's read takes when its node does not have the piece, by where that comes from: a node in the same rack, one in
 * another zone, the origin, and a node in the rack while the reader fills the same image at full speed. Real programs, each in a
 * network namespace behind a NIC of `--mbit M` (default 1000); `--reads N` pieces of each (default 1000), `--fill-mib N`
 * (default 1024), `--json FILE`. Needs root.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchFlags, whole } from '../bench-flags.ts';
import { type BenchRow, reportBench } from '../bench-report.ts';
import { labObstacle, runInLab } from '../lab/lab-process.ts';
import type { Misses, MissOptions } from './miss-lab.ts';

const LAB = fileURLToPath(new URL('./lab-main.ts', import.meta.url));
/** Of a piece of 64 KiB, in ms: what the issue asks for. */
const BOUNDS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'same rack': { p50: 1.5, p99: 5 },
  'same rack, while the image fills': { p99: 20 },
};

const { json, ...flags } = benchFlags('miss', {
  mbit: whole('of each NIC', 1_000),
  reads: whole('pieces of each kind', 1_000),
  'fill-mib': whole('of the image that fills meanwhile', 1_024),
});
const obstacle = labObstacle();
if (obstacle !== undefined) {
  process.stderr.write(`bench miss: ${obstacle}\n`);
  process.exit(1);
}
const options: MissOptions = {
  mbit: flags.mbit,
  reads: flags.reads,
  fillMib: flags['fill-mib'],
};
const found = await runInLab(LAB, JSON.stringify(options), (directory) => {
  return JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')) as Misses[];
});
const rows = found.flatMap(({ name, latencies }): BenchRow[] => {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  const row = (which: string, value: number): BenchRow => {
    const bound = BOUNDS[name]?.[which];
    const beside = bound !== undefined && { peer: 'bound', peerValue: bound, ratio: bound / value };
    return { name: `${name}: ${which} of ${sorted.length}`, value, unit: 'ms', ...beside };
  };
  return [row('p50', at(0.5)), row('p99', at(0.99)), row('longest', sorted.at(-1)!)];
});
reportBench('miss', rows, json);
