import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeRandomFile } from '../../bench/random-file.ts';
import { BOOTSWARM, bootswarm, Cluster, run, until } from '../cluster.ts';

const MIB = 1024 * 1024;

describe('bootswarm copy', () => {
  let cluster: Cluster;
  let source: string;
  let runDir: string;

  beforeAll(async () => {
    cluster = await Cluster.start(0);
    source = join(cluster.directory, 'worker.raw');
    writeRandomFile(source, 96);
    // A hole in the middle, and an end that is no whole piece.
    const hole = await run('fallocate', [
      '-p',
      '-o',
      String(8 * MIB),
      '-l',
      String(16 * MIB),
      source,
    ]);
    expect(hole.code).toBe(0);
    writeFileSync(source, 'tail', { flag: 'a' });
    await cluster.publish(source, 'worker');
  });

  afterAll(() => cluster.stop());

  const path = (name: string): string => join(cluster.directory, name);
  const leftovers = (): string[] =>
    readdirSync(cluster.directory).filter((name) => name.includes('bootswarm-copy'));

  function start(from: string, to: string): ChildProcess {
    return spawn(process.execPath, [BOOTSWARM, 'copy', from, to, '--run', runDir], {
      stdio: 'ignore',
    });
  }

  /** Resolves when a journal of this copy has records. */
  async function underWay(to: string): Promise<void> {
    const journal = join(cluster.directory, `.${to}.bootswarm-copy`, 'journal');
    await until(
      'the journal has records',
      () => existsSync(journal) && statSync(journal).size > 500,
    );
  }

  it('copies an image out of the swarm: right, sparse, in place at once', async () => {
    const agent = await cluster.addAgent('node1');
    runDir = agent.runDir;
    const result = await bootswarm(
      'copy',
      'swarm:worker',
      path('out.raw'),
      '--json',
      '--run',
      runDir,
    );
    expect(result.stderr).toBe('');
    expect(JSON.parse(result.stdout)).toMatchObject({
      length: 96 * MIB + 4,
      bytesKept: 0,
      to: path('out.raw'),
    });
    expect(readFileSync(path('out.raw')).equals(readFileSync(source))).toBe(true);
    expect(statSync(path('out.raw')).blocks * 512).toBeLessThan(81 * MIB);
    expect(leftovers()).toEqual([]);
  });

  it.each(['SIGKILL', 'SIGINT'] as const)('goes on after %s where it stopped', async (signal) => {
    const name = `after-${signal}.raw`;
    // Nobody else has the image.
    await Promise.all(cluster.agents.map((each) => each.kill('SIGTERM')));
    const agent = await cluster.addAgent(`new-${signal}`);
    runDir = agent.runDir;
    const child = start('swarm:worker', path(name));
    const hasSome = async (): Promise<boolean> => {
      const [found] = (await agent.status()).images;
      return found !== undefined && found.piecesHad > found.zeroPieces + 8;
    };
    await until('pieces come', hasSome);
    process.kill(cluster.originPid, 'SIGSTOP');
    await underWay(name);
    child.kill(signal);
    await once(child, 'exit');
    process.kill(cluster.originPid, 'SIGCONT');
    if (existsSync(path(name))) throw new Error('it was done before it could be interrupted');
    const result = await bootswarm('copy', 'swarm:worker', path(name), '--json', '--run', runDir);
    expect(result.stderr).toBe('');
    expect(JSON.parse(result.stdout).bytesKept).toBeGreaterThan(0);
    expect(readFileSync(path(name)).equals(readFileSync(source))).toBe(true);
    expect(leftovers()).toEqual([]);
  });

  it('refuses to replace a file, and what it cannot copy from', async () => {
    const there = await bootswarm('copy', source, path('out.raw'));
    expect(there).toMatchObject({ code: 1, stderr: expect.stringContaining('--force') });
    const forced = await bootswarm('copy', source, path('out.raw'), '--force');
    expect(forced.code).toBe(0);
    const unknown = await bootswarm('copy', 'swarm:nothing', path('none.raw'), '--run', runDir);
    expect(unknown.code).toBe(1);
    const agentless = await bootswarm(
      'copy',
      'swarm:worker',
      path('none.raw'),
      '--run',
      path('nowhere'),
    );
    expect(agentless).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('bootswarm agent'),
    });
    expect(leftovers()).toEqual([]);
  });

  it('puts nothing in place whose SHA-256 is another', async () => {
    const result = await bootswarm('copy', source, path('wrong.raw'), '--sha256', 'ab'.repeat(32));
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('sha256') });
    expect(existsSync(path('wrong.raw'))).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  it('copies from an NBD export of a real server', async () => {
    const socket = path('nbd.sock');
    const server = spawn('nbdkit', ['-f', '-U', socket, 'file', source], { stdio: 'ignore' });
    await until('nbdkit listens', () => existsSync(socket));
    const result = await bootswarm('copy', `nbd+unix:///?socket=${socket}`, path('nbd.raw'));
    server.kill();
    expect(result.code).toBe(0);
    expect(readFileSync(path('nbd.raw')).equals(readFileSync(source))).toBe(true);
  });
});
