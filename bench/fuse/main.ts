/**
 * Reads of what is cached, through files: fio with O_DIRECT, one read at a time and in order, as QEMU with cache=none reads a
 * large file, from the agent's FUSE directory and from qemu-storage-daemon's FUSE export of the same cache file. In turns,
 * `--repeat N` times (default 5) for `--seconds S` each (default 3); medians and ratios. Then the longest read of 64 KiB while
 * the agent is killed (-9) `--kills N` times (default 5): `respawn` is the time from the kill until the holder has told the next
 * agent to serve. `--mib N` of image (default 512), `--json FILE`. Needs root.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { agentPids, nextServing, servingPid } from '../../test/agent-killer.ts';
import { Cluster, run, type TestAgent, until } from '../../test/cluster.ts';
import { benchFlags, decimal, whole } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { writeRandomFile } from '../random-file.ts';
import { FileProbe } from './file-probe.ts';

const BLOCK_SIZES = ['64k', '256k', '1M'];
/** A guest's own timeout is 30 s or none. */
const STALL_MS_MAX = 5_000;
const {
  repeat,
  seconds,
  kills,
  mib: lengthMib,
  json,
} = benchFlags('fuse', {
  repeat: whole('each is measured so many times, in turns', 5),
  seconds: decimal('for so long', 3, 0.1),
  kills: whole('of the agent, while a file is read; 0: none', 5, 0),
  mib: whole('of image', 512),
});

const cluster = await Cluster.start(0);
try {
  const path = join(cluster.directory, 'image.raw');
  writeRandomFile(path, lengthMib);
  const image = await cluster.publish(path, 'image', '--in-place');
  const fuseDir = join(cluster.directory, 'fuse');
  const agent = await cluster.addAgent('node1', ['--holder', 'yes', '--fuse', fuseDir]);
  const file = join(fuseDir, `${image}.raw`);
  await run('dd', [`if=${file}`, 'of=/dev/null', 'bs=1M']);
  const rows = await compare(file, join(agent.cacheDir, image, 'cache.raw'));
  if (kills > 0) rows.push(...(await killed(agent, file)));
  reportBench('fuse', rows, json);
} finally {
  await cluster.stop();
}

async function compare(ours: string, cacheFile: string): Promise<BenchRow[]> {
  const theirs = join(cluster.directory, 'qemu-export');
  writeFileSync(theirs, '');
  const daemon = spawn('qemu-storage-daemon', [
    ...['--blockdev', `driver=file,node-name=file,filename=${cacheFile},read-only=on`],
    ...['--export', `type=fuse,id=disk,node-name=file,mountpoint=${theirs},writable=off`],
  ]);
  const ended = once(daemon, 'exit');
  await until('qemu-storage-daemon exports', () => statSync(theirs).size > 0);
  const rows: BenchRow[] = [];
  for (const blockSize of BLOCK_SIZES) {
    const found: [number[], number[]] = [[], []];
    for (let turn = 0; turn < repeat; turn += 1) {
      found[0].push(await megabytesPerSecond(ours, blockSize));
      found[1].push(await megabytesPerSecond(theirs, blockSize));
    }
    console.error(
      `${blockSize}: ${found.map((each) => each.map(Math.round).join(' ')).join(' | ')}`,
    );
    const [value, peerValue] = found.map(median);
    const peer = 'qemu-storage-daemon';
    const name = `${blockSize} sequential, O_DIRECT, from the cache`;
    rows.push({ name, value, unit: 'MB/s', peer, peerValue, ratio: value / peerValue });
  }
  daemon.kill('SIGTERM');
  await ended;
  return rows;
}

async function megabytesPerSecond(file: string, blockSize: string): Promise<number> {
  const { code, stdout, stderr } = await run('fio', [
    ...['--name=read', `--filename=${file}`, '--rw=read', `--bs=${blockSize}`, '--direct=1'],
    ...['--ioengine=psync', '--time_based', `--runtime=${seconds}`],
    ...[`--size=${lengthMib}M`, '--output-format=json'],
  ]);
  if (code !== 0) throw new Error(stderr);
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
    jobs: [{ read: { bw_bytes: number } }];
  };
  return jobs[0].read.bw_bytes / 1e6;
}

async function killed(agent: TestAgent, file: string): Promise<BenchRow[]> {
  const probe = await FileProbe.start(file, lengthMib * 1024 * 1024);
  const stalls: number[] = [];
  const beyond: number[] = [];
  for (let turn = 0; turn < kills; turn += 1) {
    await until('an agent waits behind the one that serves', () => agentPids(agent).length === 2);
    await delay(1_500);
    probe.takeLongestMs();
    const pid = servingPid(agent)!;
    const at = Date.now();
    process.kill(pid, 'SIGKILL');
    await nextServing(agent, pid);
    await delay(1_500);
    stalls.push(probe.takeLongestMs());
    beyond.push(stalls.at(-1)! - (diedAt(agent, pid) - at));
  }
  await probe.stop();
  const longest = Math.max(...beyond);
  return [
    { name: 'killed: longest read, median', value: median(stalls), unit: 'ms' },
    { name: 'killed: longest read, longest', value: Math.max(...stalls), unit: 'ms' },
    {
      ...{ name: 'killed: longest read - respawn, longest', value: longest, unit: 'ms' },
      ...{ peer: 'limit', peerValue: STALL_MS_MAX, ratio: STALL_MS_MAX / longest },
    },
  ];
}

/** When the holder logged the death of `pid`, in the same turn in which it tells the successor to serve. */
function diedAt(agent: TestAgent, pid: number): number {
  const line = agent.log
    .split('\n')
    .find((each) => each.includes('"agent died') && each.includes(`"agentPid":${pid},`));
  return (JSON.parse(line!) as { time: number }).time;
}
