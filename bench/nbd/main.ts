/**
 * Reads of what is cached, over NBD: fio against a real agent, `nbdkit file`, `qemu-nbd` and `nbd-server` over the same bytes, in
 * turns, `--repeat N` times (default 5) for `--seconds S` each (default 2), on 1 and 8 connections, `--connections LIST`; medians
 * and ratios. Then the same small reads while the agent fills another image of `--fill-gib N` (default 2; 0: not) at full speed:
 * how long they take at worst, which bounds how long its event loop stands still. `--mib N` of image (default 512),
 * `--json FILE`.
 */
import { join } from 'node:path';
import { Cluster, type TestAgent, until } from '../../test/cluster.ts';
import { benchFlags, decimal, whole, wholes } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { writeRandomFile } from '../random-file.ts';
import { type FioFigures, runFio, type Workload } from './fio.ts';
import { type Peer, startPeers } from './peers.ts';

const WORKLOADS: readonly Workload[] = [
  { name: '4 KiB random, QD1', rw: 'randread', blockSize: '4k', depth: 1 },
  { name: '4 KiB random, QD32', rw: 'randread', blockSize: '4k', depth: 32 },
  { name: '64 KiB random, QD16', rw: 'randread', blockSize: '64k', depth: 16 },
  { name: '256 KiB sequential, QD8', rw: 'read', blockSize: '256k', depth: 8 },
];
/** A guest that reads a little at a time, as one that boots. */
const SMALL: Workload = { name: '4 KiB random, QD4', rw: 'randread', blockSize: '4k', depth: 4 };

const {
  repeat,
  seconds,
  connections: connectionCounts,
  mib: lengthMib,
  'fill-gib': fillGib,
  json,
} = benchFlags('nbd', {
  repeat: whole('each is measured so many times, in turns', 5),
  seconds: decimal('for so long', 2, 0.1),
  connections: wholes('clients at once', [1, 8]),
  mib: whole('of image', 512),
  'fill-gib': decimal(
    'of another image, while which is filled small reads are measured; 0: not',
    2,
  ),
});

const cluster = await Cluster.start(0);
const peers: Peer[] = [];
try {
  const path = join(cluster.directory, 'image.raw');
  writeRandomFile(path, lengthMib);
  const image = await cluster.publish(path, 'image', '--in-place');
  const agent = await cluster.addAgent('node1', ['--fill', 'always']);
  const { socket } = await agent.attach(image);
  await filled(agent, 'image');
  const uri = `nbd+unix:///${image}?socket=${socket}`;
  peers.push(...(await startPeers(cluster.directory, path)));
  const servers = [{ name: 'bootswarm', uri }, ...peers];
  const rows: BenchRow[] = [];
  for (const connections of connectionCounts) {
    for (const workload of WORKLOADS) rows.push(...(await compare(workload, connections, servers)));
  }
  if (fillGib > 0) rows.push(...(await duringFill(agent, uri)));
  reportBench('nbd', rows, json);
} finally {
  for (const peer of peers) await peer.stop();
  await cluster.stop();
}

/** One row for each peer. */
async function compare(
  workload: Workload,
  connections: number,
  servers: readonly { readonly name: string; readonly uri: string }[],
): Promise<BenchRow[]> {
  const found = servers.map((): number[] => []);
  for (let turn = 0; turn < repeat; turn += 1) {
    for (const [at, { name, uri }] of servers.entries()) {
      const figures = await runFio(uri, workload, { connections, seconds, lengthMib });
      if (figures.errors > 0) throw new Error(`${name} failed a read with errno ${figures.errors}`);
      found[at].push(figures.iops);
    }
  }
  const [ours, ...theirs] = found.map(median);
  const name = `${workload.name}, ${connections} connection${connections === 1 ? '' : 's'}`;
  console.error(`${name}: ${found.map((each) => each.map(Math.round).join(' ')).join(' | ')}`);
  return theirs.map((peerValue, at) => ({
    name,
    value: ours,
    unit: 'IOPS',
    peer: servers[at + 1].name,
    peerValue,
    ratio: ours / peerValue,
  }));
}

async function duringFill(agent: TestAgent, uri: string): Promise<BenchRow[]> {
  const path = join(cluster.directory, 'other.raw');
  writeRandomFile(path, fillGib * 1024);
  await cluster.publish(path, 'other', '--in-place');
  await agent.attach('other');
  const started = performance.now();
  const runs: FioFigures[] = [];
  let isFilling = true;
  const fill = filled(agent, 'other').then(() => {
    isFilling = false;
    return (fillGib * 1024 ** 3) / 1e6 / ((performance.now() - started) / 1_000);
  });
  while (isFilling) {
    const run = await runFio(uri, SMALL, { connections: 1, seconds: 1, lengthMib });
    // One during which the fill has ended is half idle.
    if (isFilling) runs.push(run);
  }
  const row = (name: string, unit: string, value: number, bound?: number): BenchRow => ({
    name: `${SMALL.name}, while another image fills: ${name}`,
    value,
    unit,
    ...(bound !== undefined && { peer: 'bound', peerValue: bound, ratio: bound / value }),
  });
  return [
    row('p99', 'ms', median(runs.map(({ p99Ms }) => p99Ms)), 2),
    row('p99.9', 'ms', median(runs.map(({ p999Ms }) => p999Ms)), 10),
    row('longest', 'ms', Math.max(...runs.map(({ maxMs }) => maxMs)), 50),
    row('reads', 'IOPS', median(runs.map(({ iops }) => iops))),
    row('the fill', 'MB/s', await fill),
  ];
}

async function filled(agent: TestAgent, name: string): Promise<void> {
  await until(
    `${name} is complete`,
    async () => {
      const { images } = await agent.status();
      const found = images.find((each) => each.name === name);
      return found?.piecesHad === found?.pieceCount;
    },
    1_200_000,
  );
}
