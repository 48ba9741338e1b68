/**
 * What a guest notices when the agent dies or is upgraded: the longest 4 KiB read of a client behind QEMU's block layer, which
 * reconnects, while the agent is killed (-9) every few seconds, and while it is upgraded. `respawn` is the time from the kill
 * until the holder has told the next agent to serve; what comes on top is that agent's start and QEMU's reconnect. A read that is
 * answered with an error ends the bench. With
 * `--fio SECONDS`, fio writes and verifies through an overlay meanwhile.
 * `--turns N` (default 7), `--every SECONDS` (default 3), `--pieces N` in the cache (default 4096), `--json FILE`.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentKiller, agentPids, nextServing, servingPid } from '../../test/agent-killer.ts';
import { bootswarm, Cluster, run, type TestAgent, until } from '../../test/cluster.ts';
import { StorageDaemon } from '../../test/storage-daemon.ts';
import { makeTestImage } from '../../test/test-image.ts';
import { benchFlags, decimal, whole } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { ReadProbe } from './read-probe.ts';

const PIECE_LENGTH = 65_536;
const flags = benchFlags('restart', {
  turns: whole('kills, and upgrades', 7),
  every: decimal('seconds between them', 3, 0.5),
  pieces: whole('in the cache', 4_096),
  fio: whole('seconds for which fio writes and verifies meanwhile; 0: not', 0, 0),
});
const { turns, fio: fioSeconds } = flags;
const everyMs = flags.every * 1_000;
const length = flags.pieces * PIECE_LENGTH;

interface Turn {
  readonly pauseMs: number;
  readonly respawnMs: number;
}

/** One kill: how long the longest read took, and when the holder had told the next agent to serve. */
async function killed(agent: TestAgent, probe: ReadProbe, alsoSuccessor: boolean): Promise<Turn> {
  const pid = servingPid(agent)!;
  const others = agentPids(agent).filter((each) => each !== pid);
  probe.takeLongestMs();
  const at = Date.now();
  if (alsoSuccessor) for (const each of others) process.kill(each, 'SIGKILL');
  process.kill(pid, 'SIGKILL');
  await nextServing(agent, pid);
  // The next kill meets an agent that has lasted, and a successor that has loaded.
  await delay(everyMs);
  return { pauseMs: probe.takeLongestMs(), respawnMs: diedAt(agent, pid) - at };
}

/** When the holder logged the death of `pid`, in the same turn in which it tells the successor to serve. */
function diedAt(agent: TestAgent, pid: number): number {
  const line = agent.log
    .split('\n')
    .find((each) => each.includes('"agent died') && each.includes(`"agentPid":${pid},`));
  return (JSON.parse(line!) as { time: number }).time;
}

async function upgraded(agent: TestAgent, probe: ReadProbe): Promise<number> {
  probe.takeLongestMs();
  const { code, stderr } = await bootswarm('agent', 'upgrade', '--run', agent.runDir);
  if (code !== 0) throw new Error(stderr);
  await delay(everyMs);
  return probe.takeLongestMs();
}

function rowsOf(name: string, all: readonly Turn[]): BenchRow[] {
  const pauses = all.map(({ pauseMs }) => pauseMs);
  const beyond = all.map(({ pauseMs, respawnMs }) => pauseMs - respawnMs);
  return [
    { name: `${name}: pause, median`, value: median(pauses), unit: 'ms' },
    { name: `${name}: pause, longest`, value: Math.max(...pauses), unit: 'ms' },
    { name: `${name}: respawn, median`, value: median(all.map((t) => t.respawnMs)), unit: 'ms' },
    limited(`${name}: pause - respawn, median`, median(beyond), 50),
    limited(`${name}: pause - respawn, longest`, Math.max(...beyond), 50),
  ];
}

function limited(name: string, value: number, limit: number): BenchRow {
  return { name, value, unit: 'ms', peer: 'limit', peerValue: limit, ratio: limit / value };
}

/** Writes and verifies through the overlay of a VM while the agent is killed; returns the row of its errors. */
async function fioUnderKills(agent: TestAgent, image: string, seconds: number): Promise<BenchRow> {
  const size = Math.min(length, 256 * 1024 * 1024);
  const vm = await agent.createVm(image, 'fio');
  const disk = await StorageDaemon.start(vm.overlay, join(cluster.directory, 'fio.sock'));
  const killer = new AgentKiller(agent, everyMs);
  const { code, stdout } = await run(
    'fio',
    [
      ...['--name=verify', '--ioengine=nbd', `--uri=${disk.uri}`, '--rw=randwrite', '--bs=4k'],
      ...[`--size=${size}`, '--iodepth=16', '--verify=crc32c', '--continue_on_error=all'],
      ...[`--rate_iops=${Math.ceil(size / 4_096 / (seconds / 2))}`, '--output-format=json'],
    ],
    { timeoutMs: (seconds + 600) * 1_000 },
  );
  killer.stop();
  await disk.stop();
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: FioJob[] };
  console.log(`fio: exit code ${code}, the agent was killed ${killer.kills.length} times`);
  const errors = jobs.reduce((sum, job) => sum + job.total_err, 0);
  return { name: 'errors under fio with verify', value: errors, unit: 'errors' };
}

interface FioJob {
  readonly total_err: number;
}

const cluster = await Cluster.start(1, ['--holder', 'yes']);
try {
  const raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, length);
  const image = await cluster.publish(raw, 'test', '--in-place');
  const [agent] = cluster.agents;
  const vm = await agent.createVm(image, 'vm');
  const daemon = await StorageDaemon.start(vm.overlay, join(cluster.directory, 'disk.sock'));
  await run('nbdcopy', [daemon.uri, 'null:']);
  const probe = await ReadProbe.start(daemon.socket, 'disk', length);
  await until('an agent waits behind the one that serves', () => agentPids(agent).length === 2);
  await delay(everyMs);
  const warm: Turn[] = [];
  const cold: Turn[] = [];
  const upgrades: number[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    warm.push(await killed(agent, probe, false));
    upgrades.push(await upgraded(agent, probe));
    cold.push(await killed(agent, probe, true));
  }
  const rows: BenchRow[] = [
    ...rowsOf('killed', warm),
    ...rowsOf('killed, and its successor too', cold),
    { name: 'upgrade: pause, median', value: median(upgrades), unit: 'ms' },
    limited('upgrade: pause, longest', Math.max(...upgrades), 1_000),
  ];
  if (fioSeconds > 0) rows.push(await fioUnderKills(agent, image, fioSeconds));
  await probe.stop();
  await daemon.stop();
  reportBench('restart', rows, flags.json);
} finally {
  await cluster.stop();
}
