/**
 * What one core gives the tracker: many agents that are connected and idle, then announces at a steady rate, and how long each
 * takes from being sent until the tracker has handled it. An announce is a `progress` and every second one a `stats`, each with a
 * ping behind it on the same connection, whose pong says that it was handled. The tracker has a core of its own, and we
 * the rest (taskset): our own event loop's lateness is part of every time, and reported.
 * `--agents N` (default 10000), `--announces N` a second (default 5000), `--seconds N` (default 20), `--images N` (default 20),
 * `--profile` writes a CPU profile of the tracker beside its data and says where, `--json FILE`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Cluster } from '../../test/cluster.ts';
import { cpuSeconds, peakResidentBytes, residentBytes } from '../../test/process-usage.ts';
import { benchFlags, given, whole } from '../bench-flags.ts';
import { type BenchRow, reportBench } from '../bench-report.ts';
import { AnnouncingAgents } from './announcing-agents.ts';

const {
  agents: agentCount,
  announces: announcesPerSecond,
  seconds,
  images,
  profile,
  json,
} = benchFlags('tracker', {
  agents: whole('that are connected', 10_000),
  announces: whole('a second', 5_000),
  seconds: whole('for so long', 20),
  images: whole('in the catalogue', 20),
  profile: given('write a CPU profile of the tracker'),
});
/** The promise of the tracker, on one core. */
const LATENCY_MS_MAX = 50;
const RSS_BYTES_MAX = 512 * 1024 * 1024;

async function publishImages(cluster: Cluster): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < images; index += 1) {
    const path = join(cluster.directory, `image-${index}.raw`);
    writeFileSync(path, Buffer.alloc(65_536, `image ${index} `));
    ids.push(await cluster.publish(path, `image-${index}`, '--in-place', '--prejoin', 'none'));
  }
  return ids;
}

function pin(pid: number, cpus: string): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cpus, String(pid)]);
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

const cluster = await Cluster.start(0);
try {
  if (profile) {
    const directory = join(process.cwd(), 'bench-tracker-profile');
    mkdirSync(directory, { recursive: true });
    await cluster.tracker.end('SIGTERM');
    cluster.tracker.env = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${directory}` };
    await cluster.startTracker();
    console.log(`profile: ${directory}`);
  }
  const images = await publishImages(cluster);
  const { pid } = cluster.tracker;
  pin(pid, '0');
  if (availableParallelism() > 1) pin(process.pid, `1-${availableParallelism() - 1}`);
  const atRest = residentBytes(pid);
  const startedAt = performance.now();
  const agents = await AnnouncingAgents.connect(cluster.url, agentCount, images);
  const connectSeconds = (performance.now() - startedAt) / 1_000;
  console.log(`${agents.connected} agents after ${connectSeconds.toFixed(1)} s`);
  const idleFrom = cpuSeconds(pid);
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const idleCpu = (cpuSeconds(pid) - idleFrom) / 5;
  const idleRss = residentBytes(pid);
  const busyFrom = cpuSeconds(pid);
  const ownDelay = monitorEventLoopDelay({ resolution: 1 });
  ownDelay.enable();
  const latencies = (await agents.announce(announcesPerSecond, seconds)).sort((a, b) => a - b);
  const busyCpu = (cpuSeconds(pid) - busyFrom) / seconds;
  const p99 = quantile(latencies, 0.99);
  const rss = peakResidentBytes(pid);
  const rows: BenchRow[] = [
    { name: 'agents connected', value: agents.connected, unit: '' },
    { name: 'to connect and join them all', value: connectSeconds, unit: 's' },
    { name: 'CPU while they are idle', value: idleCpu * 100, unit: '% of a core' },
    { name: 'RSS before, without an agent', value: atRest / 2 ** 20, unit: 'MiB' },
    { name: 'RSS while they are idle', value: idleRss / 2 ** 20, unit: 'MiB' },
    { name: 'announces answered', value: latencies.length / seconds, unit: '/s' },
    { name: 'announce, median', value: quantile(latencies, 0.5), unit: 'ms' },
    {
      ...{ name: 'announce, p99', value: p99, unit: 'ms', peer: 'promised' },
      ...{ peerValue: LATENCY_MS_MAX, ratio: LATENCY_MS_MAX / p99 },
    },
    { name: 'our own event loop late, p99', value: ownDelay.percentile(99) / 1e6, unit: 'ms' },
    { name: 'our own event loop late, most', value: ownDelay.max / 1e6, unit: 'ms' },
    { name: 'CPU meanwhile', value: busyCpu * 100, unit: '% of a core' },
    {
      ...{ name: 'RSS, peak', value: rss / 2 ** 20, unit: 'MiB', peer: 'promised' },
      ...{ peerValue: RSS_BYTES_MAX / 2 ** 20, ratio: RSS_BYTES_MAX / rss },
    },
  ];
  reportBench('tracker', rows, json);
  agents.close();
} finally {
  await cluster.stop();
}
