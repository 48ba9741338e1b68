/** What befalls the process of an agent and that of its socket holder, as a guest of theirs sees it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { bindNbdSocket } from '../../apps/agent/src/holder/bound-socket.ts';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import { CMD, request } from '../../packages/nbd-proto/test/wire.ts';
import { agentPids, nextServing, servingPid } from '../agent-killer.ts';
import { BOOTSWARM, bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { isRunning, readHead } from './refusal.ts';

const BLOCK_LOOP = new URL('../block-loop.mjs', import.meta.url).href;
const MIB = 1024 * 1024;

let cluster: Cluster;

afterEach(async () => {
  vi.unstubAllEnvs();
  await cluster.stop();
});

/** An image of 8 MiB, attached on every agent; returns its id. */
async function attachedImage(): Promise<string> {
  const raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, 8 * MIB);
  const image = await cluster.publish(raw, 'test');
  for (const agent of cluster.agents) await agent.attach(image);
  return image;
}

test('an agent that is stuck is aborted and the next one serves; with --watchdog-seconds 0 it stays stuck', async () => {
  vi.stubEnv('NODE_OPTIONS', `--import=${BLOCK_LOOP}`);
  cluster = await Cluster.start(0);
  const watched = await cluster.addAgent('a', ['--holder', 'yes', '--watchdog-seconds', '1']);
  const unwatched = await cluster.addAgent('b', ['--holder', 'yes', '--watchdog-seconds', '0']);
  const image = await attachedImage();
  const head = await readHead(watched, image, 4_096);
  const [pid, stuck] = [servingPid(watched)!, servingPid(unwatched)!];
  for (const each of [stuck, pid]) process.kill(each, 'SIGUSR2');
  await until('both are stuck', () =>
    [watched, unwatched].every(({ log }) => /stuck now/.test(log)),
  );
  // Nobody accepts it, until the next agent does.
  expect(await readHead(watched, image, 4_096)).toEqual(head);
  expect(servingPid(watched)).not.toBe(pid);
  expect(watched.log).toMatch(/event loop stuck for 1 s: aborting/);
  expect(watched.log).toMatch(/was ended by SIGABRT/);
  expect(servingPid(unwatched)).toBe(stuck);
  // It hears no signal. The holder takes a second one for an order.
  const ended = unwatched.end('SIGINT');
  await unwatched.kill('SIGTERM');
  expect(await ended).toBe(137);
});

test('an agent whose holder is killed goes with it, and both can be started again', async () => {
  cluster = await Cluster.start(1, ['--holder', 'yes']);
  const [agent] = cluster.agents;
  const image = await attachedImage();
  const head = await readHead(agent, image, 4_096);
  await until('a successor waits', () => agentPids(agent).length === 2);
  const pids = agentPids(agent);
  await agent.kill('SIGKILL');
  await until('neither runs', () => !pids.some(isRunning));
  await agent.start();
  expect(await readHead(agent, image, 4_096)).toEqual(head);
});

test('a stop ends holder, agent and successor in order, and leaves no socket', async () => {
  cluster = await Cluster.start(1, ['--holder', 'yes']);
  const [agent] = cluster.agents;
  await until('a successor waits', () => agentPids(agent).length === 2);
  const pids = agentPids(agent);
  expect(await agent.end('SIGINT')).toBe(0);
  await until('none runs', () => !pids.some(isRunning));
  expect(existsSync(join(agent.runDir, 'nbd.sock'))).toBe(false);
  expect(existsSync(join(agent.runDir, 'agent.json'))).toBe(false);
});

test('a stop cuts a read that waits, and answers nothing', async () => {
  cluster = await Cluster.start(1, ['--holder', 'yes']);
  const [agent] = cluster.agents;
  const image = await attachedImage();
  // Its origin goes with it: nobody has the pieces now.
  await cluster.tracker.kill('SIGTERM');
  const client = await RawClient.open(join(agent.runDir, 'nbd.sock'), image);
  client.send(request(CMD.read, 0, 4_096));
  await until('the read waits', async () => (await agent.status()).images[0].readsWaiting > 0);
  const received = client.receiveToEnd();
  expect(await agent.end('SIGTERM')).toBe(0);
  expect(await received).toEqual(Buffer.alloc(0));
});

/** As systemd starts the agent of a socket unit; resolves when it is ready. */
async function startByService(agent: TestAgent, fd: number) {
  const log = openSync(agent.logPath, 'a');
  const seen = agent.log.length;
  const script = 'LISTEN_PID=$$ exec "$@"';
  const args = [process.execPath, BOOTSWARM, ...agent.args];
  const child = spawn('sh', ['-c', script, 'sh', ...args], {
    stdio: ['ignore', log, log, fd],
    env: { ...process.env, LISTEN_FDS: '1', LISTEN_FDNAMES: 'nbd', INVOCATION_ID: 'test' },
  });
  const exited = once(child, 'exit');
  await until('the service is ready', () => {
    if (child.exitCode !== null) throw new Error(agent.log.slice(seen));
    return agent.log.slice(seen).includes('agent ready');
  });
  return { pid: child.pid, exited };
}

test('an agent with the sockets of systemd needs no holder, and ends for an upgrade', async () => {
  cluster = await Cluster.start(1);
  const [agent] = cluster.agents;
  const image = await attachedImage();
  const head = await readHead(agent, image, 4_096);
  await agent.kill('SIGTERM');
  const socket = await bindNbdSocket(join(agent.runDir, 'nbd.sock'));
  const first = await startByService(agent, socket.fd);
  expect((await agent.status()).pid).toBe(first.pid);
  expect(await readHead(agent, image, 4_096)).toEqual(head);

  const upgrade = bootswarm('agent', 'upgrade', '--json', '--run', agent.runDir);
  expect(await first.exited).toEqual([0, null]);
  // What systemd does next; a guest is there already.
  const guest = readHead(agent, image, 4_096);
  const second = await startByService(agent, socket.fd);
  expect(await guest).toEqual(head);
  const { code, stdout } = await upgrade;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ from: { pid: first.pid }, to: { pid: second.pid } });
  process.kill(second.pid!, 'SIGTERM');
  expect(await second.exited).toEqual([0, null]);
  socket.close();
});

test('an agent with the sockets of systemd and a FUSE directory has a holder for that', async () => {
  cluster = new Cluster();
  await cluster.startTracker();
  const fuseDir = join(cluster.directory, 'fuse');
  const agent = await cluster.addAgent('node1', ['--holder', 'yes', '--fuse', fuseDir]);
  const image = await attachedImage();
  const head = await readHead(agent, image, 4_096);
  await agent.kill('SIGTERM');
  const socket = await bindNbdSocket(join(agent.runDir, 'nbd.sock'));
  const service = await startByService(agent, socket.fd);
  const pid = servingPid(agent)!;
  expect(pid).not.toBe(service.pid);
  process.kill(pid, 'SIGKILL');
  expect(await readHead(agent, image, 4_096)).toEqual(head);
  const compared = await run('cmp', [
    join(fuseDir, `${image}.raw`),
    join(cluster.directory, 'image.raw'),
  ]);
  expect(compared.code).toBe(0);
  await nextServing(agent, pid);
  process.kill(service.pid!, 'SIGTERM');
  expect(await service.exited).toEqual([0, null]);
  // It is systemd's.
  expect(existsSync(join(agent.runDir, 'nbd.sock'))).toBe(true);
  socket.close();
});

test('an agent whose run directory is not where the socket of systemd is says so', async () => {
  cluster = await Cluster.start(1);
  const [agent] = cluster.agents;
  await agent.kill('SIGTERM');
  const socket = await bindNbdSocket(join(cluster.directory, 'elsewhere.sock'));
  await expect(startByService(agent, socket.fd)).rejects.toThrow(
    /NBD socket .* is not at .*\n.*ListenStream=/,
  );
  socket.close();
});

test('what connects while an agent is replaced waits for the next', async () => {
  cluster = await Cluster.start(1, ['--holder', 'yes']);
  const [agent] = cluster.agents;
  const image = await attachedImage();
  const head = await readHead(agent, image, 4_096);
  const pid = servingPid(agent)!;
  const { peerAddress } = await agent.status();
  process.kill(pid, 'SIGKILL');
  expect(await readHead(agent, image, 4_096)).toEqual(head);
  expect(await nextServing(agent, pid)).not.toBe(pid);
  // Peers dial it where they did.
  expect((await agent.status()).peerAddress).toBe(peerAddress);
});
