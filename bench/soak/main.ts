/**
 * A day's work in half an hour: VMs come, read and go on two agents, images are evicted and fetched again, the tracker dies and
 * is back, for `--minutes N` (default 30). Memory and file descriptors of every process are looked at all the while; what
 * counts is whether they grow in the second half. `--json FILE`.
 */
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import { Cluster, type TestAgent, until } from '../../test/cluster.ts';
import { descriptorCount, residentBytes } from '../../test/process-usage.ts';
import { benchFlags, decimal } from '../bench-flags.ts';
import { type BenchRow, reportBench } from '../bench-report.ts';
import { NbdReader } from '../nbd-reader.ts';
import { writeRandomFile } from '../random-file.ts';
import { type Sample, slopePerHour } from './slope.ts';

const PIECE_LENGTH = 65_536;
const IMAGE_MIB = 64;
const MIB = 1024 * 1024;
const PIECES = (IMAGE_MIB * MIB) / PIECE_LENGTH;
/** Enough for a bound of memory to be seen: less than an image. */
const HOT = '16M';
/** Pieces a VM reads before it goes. */
const READS = 100;
/** VMs between two evictions of all images, and two deaths of the tracker. */
const VMS_PER_EVICTION = 20;
const VMS_PER_TRACKER = 100;

const { minutes, json } = benchFlags('soak', { minutes: decimal('of churn', 30, 0.1) });
const runMs = minutes * 60_000;

interface Watched {
  readonly name: string;
  readonly pid: () => number;
  readonly rssMib: Sample[];
  readonly descriptors: Sample[];
}

const cluster = await Cluster.start(2, ['--hot', HOT, '--fill', 'idle']);
const random = new Random(1);
const watched = [
  ...cluster.agents.map((agent) => watch(`agent ${agent.node}`, () => agent.pid)),
  watch('origin', () => cluster.originPid),
];
try {
  const images: string[] = [];
  for (const name of ['one', 'two', 'three']) {
    const path = join(cluster.directory, `${name}.raw`);
    writeRandomFile(path, IMAGE_MIB);
    images.push(await cluster.publish(path, name, '--in-place'));
  }
  const startedAt = performance.now();
  let said = 0;
  let vms = 0;
  for (let elapsed = 0; elapsed < runMs; elapsed = performance.now() - startedAt) {
    await Promise.all(
      cluster.agents.map((agent) => liveOfVm(agent, images[random.below(images.length)], vms)),
    );
    vms += 1;
    if (vms % VMS_PER_EVICTION === 0) await evictAll();
    if (vms % VMS_PER_TRACKER === 0) await restartTracker();
    sampleAll(elapsed / 3_600_000);
    if (elapsed - said < 10_000) continue;
    said = elapsed;
    const rss = watched.map(({ name, rssMib }) => `${name} ${rssMib.at(-1)!.value.toFixed(0)} MiB`);
    console.error(`${(elapsed / 60_000).toFixed(1)} min, ${2 * vms} VMs: ${rss.join(', ')}`);
  }
  reportBench('soak', watched.flatMap(rowsOf), json);
} finally {
  await cluster.stop();
}

async function liveOfVm(agent: TestAgent, image: string, number: number): Promise<void> {
  const name = `vm${number}`;
  await agent.createVm(image, name);
  const socket = join(agent.runDir, 'nbd.sock');
  const reader = await NbdReader.open(socket, `${image}@${name}`, PIECE_LENGTH, () => {});
  for (let read = 0; read < READS; read += 1) {
    const offset = random.below(PIECES) * PIECE_LENGTH;
    await new Promise<void>((resolve) => reader.read(offset, PIECE_LENGTH, () => resolve()));
  }
  await reader.close();
  await agent.removeVm(name);
}

async function evictAll(): Promise<void> {
  for (const agent of cluster.agents) {
    for (const { id } of (await agent.status()).images) await agent.evict(id);
  }
}

async function restartTracker(): Promise<void> {
  await cluster.tracker.kill('SIGKILL');
  await cluster.restartTracker();
  await until('agents are back', async () => {
    const { nodes } = await cluster.trackerGet<{ nodes: unknown[] }>('/v1/nodes');
    return nodes.length === cluster.agents.length;
  });
}

function watch(name: string, pid: () => number): Watched {
  return { name, pid, rssMib: [], descriptors: [] };
}

function sampleAll(at: number): void {
  for (const { pid, rssMib, descriptors } of watched) {
    rssMib.push({ at, value: residentBytes(pid()) / MIB });
    descriptors.push({ at, value: descriptorCount(pid()) });
  }
}

/** In the first half caches fill and code is compiled. */
function rowsOf({ name, rssMib, descriptors }: Watched): BenchRow[] {
  const half = rssMib.length >> 1;
  const largest = Math.max(...rssMib.map(({ value }) => value));
  return [
    { name: `${name}: memory, at most`, value: largest, unit: 'MiB' },
    { name: `${name}: memory, growth`, value: slopePerHour(rssMib.slice(half)), unit: 'MiB/h' },
    {
      name: `${name}: file descriptors, growth`,
      value: slopePerHour(descriptors.slice(half)),
      unit: '1/h',
    },
  ];
}
