/**
 * `bootswarm copy swarm:IMAGE file:…` on 1, 2 and 4 nodes at once (`--nodes 1,2,4`) beside `curl` from one HTTP server on the
 * host of the tracker: an image of `--mib N` (default 1024), every link shaped to `--mbit M` (default 200), in turns (`--turns
 * N`, default 1), caches empty each time, until the last copy is safely on its disk. Says from how many nodes on copy is ahead.
 * `--json FILE`. Needs root.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchFlags, whole, wholes } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { labObstacle, runInLab } from '../lab/lab-process.ts';
import type { CopyLabOptions, Turn } from './copy-lab.ts';

const LAB = fileURLToPath(new URL('./lab-main.ts', import.meta.url));

const { json, ...options } = benchFlags('copy', {
  mib: whole('of image', 1_024),
  mbit: whole('of each link', 200),
  nodes: wholes('that copy at once', [1, 2, 4]),
  turns: whole('of each, of which the median counts', 1),
});
const obstacle = labObstacle();
if (obstacle !== undefined) {
  process.stderr.write(`bench copy: ${obstacle}\n`);
  process.exit(1);
}
const turns = await runInLab(LAB, JSON.stringify(options satisfies CopyLabOptions), (directory) => {
  return JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')) as Turn[];
});
const rows = options.nodes.map((nodes): BenchRow => {
  const of = turns.filter((turn) => turn.nodes === nodes);
  const value = median(of.map(({ copySeconds }) => copySeconds));
  const peerValue = median(of.map(({ curlSeconds }) => curlSeconds));
  const name = `${options.mib} MiB to ${nodes} ${nodes === 1 ? 'node' : 'nodes'} at ${options.mbit} Mbit/s`;
  return { name, value, unit: 's', peer: 'curl', peerValue, ratio: peerValue / value };
});
reportBench('copy', rows, json);
const ahead = options.nodes.find((_, index) => rows[index].ratio! > 1);
console.log(
  ahead === undefined
    ? 'crossover: curl is as good on every number of nodes that was measured'
    : `crossover: copy is ahead from ${ahead} ${ahead === 1 ? 'node' : 'nodes'} on`,
);
