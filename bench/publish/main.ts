/**
 * How fast an image is published, in MB/s of its data, beside `sha256sum` over the same file: the least a publisher must do. Runs
 * take turns; medians of five. `--mib N` of random data (default 1024), `--sparse-gib N` size of a sparse image (default 10).
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bootswarm, Cluster, run } from '../../test/cluster.ts';
import { benchFlags, decimal, whole } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';

const MIB = 1024 * 1024;
const RUNS = 5;
const {
  mib: dataMib,
  'sparse-gib': sparseGib,
  json,
} = benchFlags('publish', {
  mib: whole('of random data', 1_024),
  'sparse-gib': decimal('size of a sparse image', 10, 0.2),
});

const cluster = await Cluster.start(0);
const rows: BenchRow[] = [];
try {
  const full = makeImage('full.raw', dataMib, dataMib * MIB);
  const sparse = makeImage('sparse.raw', 100, sparseGib * 1024 * MIB);
  await measure(`publish --in-place, ${dataMib} MiB of data`, full, dataMib, ['--in-place']);
  await measure(`publish (copied), ${dataMib} MiB of data`, full, dataMib, []);
  const seconds: number[] = [];
  for (let round = 0; round < RUNS; round += 1) seconds.push(await publish(sparse, ['--in-place']));
  rows.push({
    name: `publish --in-place, ${sparseGib} GiB sparse, 100 MiB of data`,
    value: median(seconds),
    unit: 's',
  });
} finally {
  await cluster.stop();
}
reportBench('publish', rows, json);

async function measure(name: string, path: string, mib: number, extra: string[]): Promise<void> {
  const ours: number[] = [];
  const plain: number[] = [];
  for (let round = 0; round < RUNS; round += 1) {
    const start = performance.now();
    await run('sha256sum', [path], { timeoutMs: 600_000 });
    plain.push((performance.now() - start) / 1_000);
    ours.push(await publish(path, extra));
  }
  const [value, peerValue] = [ours, plain].map((seconds) => (mib * MIB) / 1e6 / median(seconds));
  rows.push({ name, value, unit: 'MB/s', peer: 'sha256sum', peerValue, ratio: value / peerValue });
}

/** Seconds from the request to the image being in the catalogue, by the tracker's own clock. */
async function publish(path: string, extra: string[]): Promise<number> {
  const common = ['--tracker', cluster.url];
  const { stdout, stderr } = await bootswarm(
    'publish',
    path,
    '--name',
    'bench',
    '--json',
    ...extra,
    ...common,
  );
  if (stdout === '') throw new Error(stderr);
  await bootswarm('withdraw', 'bench', ...common);
  return (JSON.parse(stdout) as { seconds: number }).seconds;
}

function makeImage(name: string, mib: number, length: number): string {
  const path = join(cluster.directory, name);
  rmSync(path, { force: true });
  const file = openSync(path, 'w');
  const chunk = Buffer.alloc(MIB);
  for (let at = 0; at < mib; at += 1) writeSync(file, randomFillSync(chunk), 0, MIB, at * MIB);
  ftruncateSync(file, length);
  closeSync(file);
  return path;
}
