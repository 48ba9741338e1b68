/**
 * An image from one node to another, verified and written durably: agent to agent, beside libtorrent seeder to leecher with the
 * same torrent on the same machine, in turns. `--mib N` of random data (default 1024), `--repeat N` (default 5), `--json FILE`. A
 * run ends when every piece is verified and the file has been flushed to the disk.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster, type TestAgent, until } from '../../test/cluster.ts';
import { cpuSeconds } from '../../test/process-usage.ts';
import { benchFlags, whole } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { writeRandomFile } from '../random-file.ts';
import { LibtorrentPeer } from './libtorrent.ts';

interface Run {
  readonly megabytesPerSecond: number;
  readonly senderCpuPerGb: number;
  readonly receiverCpuPerGb: number;
}

const {
  mib: lengthMib,
  repeat,
  json,
} = benchFlags('wire', {
  mib: whole('of random data', 1_024),
  repeat: whole('turns', 5),
});
const gigabytes = (lengthMib * 1024 * 1024) / 1e9;

const cluster = await Cluster.start(0);
let seeder: LibtorrentPeer | undefined;
try {
  const path = join(cluster.directory, 'image.raw');
  writeRandomFile(path, lengthMib);
  const image = await cluster.publish(path, 'image', '--in-place');
  const torrent = join(cluster.directory, 'image.torrent');
  const response = await fetch(`${cluster.url}/v1/images/${image}/torrent`);
  writeFileSync(torrent, Buffer.from(await response.arrayBuffer()));
  const sender = await cluster.addAgent('sender', ['--fill', 'always']);
  await sender.attach(image);
  await filled(sender);
  // Stopped, not dead: the tracker would start another, and the receiver would have two senders.
  process.kill(cluster.originPid, 'SIGSTOP');
  const seeds = join(cluster.directory, 'seeds');
  mkdirSync(seeds);
  copyFileSync(path, join(seeds, 'image'));
  seeder = new LibtorrentPeer(torrent, seeds);
  const port = Number(await seeder.says('listens'));
  const ours: Run[] = [];
  const theirs: Run[] = [];
  for (let turn = 0; turn < repeat; turn += 1) {
    ours.push(await agentToAgent(sender, image, `receiver${turn}`));
    theirs.push(await seederToLeecher(seeder, torrent, port, `leech${turn}`));
    console.error(
      `${turn + 1}: ${[ours, theirs].map((each) => describe(each.at(-1)!)).join(' | ')}`,
    );
  }
  reportBench('wire', rowsOf(ours, theirs), json);
} finally {
  process.kill(cluster.originPid, 'SIGCONT');
  await seeder?.end();
  await cluster.stop();
}

async function agentToAgent(sender: TestAgent, image: string, node: string): Promise<Run> {
  const receiver = await cluster.addAgent(node, ['--fill', 'always']);
  const stop = stopwatch(sender.pid, receiver.pid);
  await receiver.attach(image);
  await filled(receiver);
  const files = readdirSync(receiver.cacheDir, { recursive: true, withFileTypes: true });
  flush(files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name)));
  const run = stop();
  const { bytesFromOrigin } = (await receiver.status()).images[0];
  if (bytesFromOrigin > 0) throw new Error('the origin took part');
  await receiver.kill('SIGTERM');
  rmSync(receiver.cacheDir, { recursive: true });
  return run;
}

async function seederToLeecher(
  seeder: LibtorrentPeer,
  torrent: string,
  port: number,
  name: string,
): Promise<Run> {
  const directory = join(cluster.directory, name);
  mkdirSync(directory);
  const leecher = new LibtorrentPeer(torrent, directory, `127.0.0.1:${port}`);
  try {
    await leecher.says('begins');
    const stop = stopwatch(seeder.pid, leecher.pid);
    await leecher.says('complete');
    flush([join(directory, 'image')]);
    return stop();
  } finally {
    await leecher.end();
    rmSync(directory, { recursive: true });
  }
}

function stopwatch(sender: number, receiver: number): () => Run {
  const cpu = [cpuSeconds(sender), cpuSeconds(receiver)];
  const startedAt = performance.now();
  return () => ({
    megabytesPerSecond: (gigabytes * 1e6) / (performance.now() - startedAt),
    senderCpuPerGb: (cpuSeconds(sender) - cpu[0]) / gigabytes,
    receiverCpuPerGb: (cpuSeconds(receiver) - cpu[1]) / gigabytes,
  });
}

/** In a process of its own: the CPU of writing back counts for nobody, the time for whoever made it wait. */
function flush(paths: readonly string[]): void {
  execFileSync('sync', ['-d', ...paths]);
}

async function filled(agent: TestAgent): Promise<void> {
  await until(
    `${agent.node} has everything`,
    async () => {
      const [found] = (await agent.status()).images;
      return found?.piecesHad === found?.pieceCount;
    },
    600_000,
  );
}

function describe({ megabytesPerSecond, senderCpuPerGb, receiverCpuPerGb }: Run): string {
  const cpu = `${senderCpuPerGb.toFixed(2)} + ${receiverCpuPerGb.toFixed(2)} s/GB`;
  return `${megabytesPerSecond.toFixed(0)} MB/s, ${cpu}`;
}

function rowsOf(ours: readonly Run[], theirs: readonly Run[]): BenchRow[] {
  const row = (name: string, unit: string, isMoreBetter: boolean, of: (run: Run) => number) => {
    const value = median(ours.map(of));
    const peerValue = median(theirs.map(of));
    const ratio = isMoreBetter ? value / peerValue : peerValue / value;
    return { name, value, unit, peer: 'libtorrent', peerValue, ratio };
  };
  return [
    row('one image to one node', 'MB/s', true, (run) => run.megabytesPerSecond),
    row('CPU of the sender', 's/GB', false, (run) => run.senderCpuPerGb),
    row('CPU of the receiver', 's/GB', false, (run) => run.receiverCpuPerGb),
    row('CPU of both', 's/GB', false, (run) => run.senderCpuPerGb + run.receiverCpuPerGb),
  ];
}
