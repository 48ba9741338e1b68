import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import {
  type AgentMessage,
  decodeAgentMessage,
  encodeTrackerMessage,
  SIGNALLING_VERSION,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import type { AgentStatus, VmInfo } from '../src/api.ts';
import { KEY_HEX, signedImage } from './catalogue-server.ts';
import { TestAgent } from './test-agent.ts';

const IMAGE = signedImage('debian-12');

let agent: TestAgent;

beforeEach(async () => {
  agent = await TestAgent.start([IMAGE]);
});

afterEach(() => agent.end());

test('hands out QEMU commands with the accelerators it is told', async () => {
  await agent.stopAgent();
  await agent.startAgent({ accelerators: ['tcg'] });
  const { body } = await agent.ask('POST', '/v1/vms', { image: 'debian-12', name: 'web-1' });
  const { qemuCommand } = body as VmInfo;
  const taken = qemuCommand.filter((_, index) => qemuCommand[index - 1] === '-accel');
  expect(taken).toEqual(['tcg']);
});

describe('where peers dial it', () => {
  const ADVERTISED: [string, string | undefined, string, string][] = [
    ['127.0.0.1', undefined, '127.0.0.1', '127.0.0.1'],
    // The tracker puts in what it sees.
    ['0.0.0.0', undefined, '', '0.0.0.0'],
    ['0.0.0.0', '192.0.2.7', '192.0.2.7', '192.0.2.7'],
  ];

  test.each(ADVERTISED)('listening on %s, advertising %s', async (host, advertise, told, shown) => {
    const signals = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(signals, 'listening');
    const { port } = signals.address() as AddressInfo;
    const connected = once(signals, 'connection');
    await agent.stopAgent();
    await agent.startAgent({
      ...{ trackerUrl: `http://127.0.0.1:${port}`, listen: { host, port: 0 }, advertise },
    });
    const [socket] = await connected;
    const [bytes] = await once(socket, 'message');
    const hello = decodeAgentMessage(bytes);
    if (hello.type !== 'hello') throw new Error(hello.type);
    expect(hello.address).toEqual({ host: told, port: expect.any(Number) });
    const status = (await agent.ask('GET', '/v1/status')).body as AgentStatus;
    expect(status.peerAddress).toBe(`${shown}:${hello.address.port}`);
    await agent.stopAgent();
    signals.close();
  });
});

test('tells the tracker whom it suspects', async () => {
  await agent.ask('POST', '/v1/exports', { image: 'debian-12' });
  await agent.stopAgent();
  const signals = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(signals, 'listening');
  const { port } = signals.address() as AddressInfo;
  const suspected = new Promise<AgentMessage>((resolve) => {
    signals.on('connection', (socket) => {
      const say = (message: TrackerMessage) => socket.send(encodeTrackerMessage(message));
      socket.on('message', (bytes: Buffer) => {
        const message = decodeAgentMessage(bytes);
        if (message.type === 'hello') say(WELCOME);
        else if (message.type === 'join') say(membersWith(message.image, unusedPort));
        else if (message.type === 'suspect') resolve(message);
      });
    });
  });
  const unusedPort = await closedPort();
  await agent.startAgent({ trackerUrl: `http://127.0.0.1:${port}` });
  expect(await suspected).toEqual({ type: 'suspect', image: IMAGE.id, nodes: ['gone'] });
  await agent.stopAgent();
  signals.close();
});

test('tells commands where it is for as long as it runs', async () => {
  const path = join(agent.runDir, 'agent.json');
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
    ...{ pid: process.pid, node: 'n1', trackerUrl: agent.tracker.url },
    nbdSocket: join(agent.runDir, 'nbd.sock'),
  });
  await agent.stopAgent();
  expect(existsSync(path)).toBe(false);
});

test('closes all else when a part of it cannot be closed, and says which', async () => {
  const path = join(agent.runDir, 'agent.json');
  rmSync(path);
  mkdirSync(path);
  await expect(agent.stopAgent()).rejects.toThrow(path);
  rmSync(path, { recursive: true });
  // The lock of the cache and the sockets are free again.
  await agent.startAgent();
  expect((await agent.ask('GET', '/v1/status')).status).toBe(200);
});

test('leaves nothing open when it cannot start', async () => {
  const { peerAddress } = (await agent.ask('GET', '/v1/status')).body as AgentStatus;
  const listen = { host: '127.0.0.1', port: Number(peerAddress.split(':')[1]) };
  await agent.stopAgent();
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const attempts: [Parameters<TestAgent['startAgent']>[0], string][] = [
    [{ listen: { host: '127.0.0.1', port } }, 'peer-port-unavailable'],
    [{ listen, advertise: '0.0.0.0' }, 'advertise-host'],
    [{ listen, node: '' }, 'node-name'],
    [{ listen, runDir: join(agent.directory, 'x'.repeat(100)) }, 'socket-path-too-long'],
  ];
  for (const [options, code] of attempts) {
    await expect(agent.startAgent(options)).rejects.toMatchObject({ code });
  }
  // The lock of the cache, the peer port and the sockets are free again.
  await agent.startAgent({ listen });
  expect((await agent.ask('GET', '/v1/status')).status).toBe(200);
  taken.close();
});

test('a second agent on the same cache is turned away', async () => {
  await expect(agent.startAgent()).rejects.toMatchObject({ code: 'cache-locked' });
  expect((await agent.ask('GET', '/v1/status')).status).toBe(200);
});

const WELCOME: TrackerMessage = {
  type: 'welcome',
  version: SIGNALLING_VERSION,
  publisherKey: KEY_HEX,
};

/** The order of a swarm of the agent and one more, at `port`. */
function membersWith(image: string, port: number): TrackerMessage {
  const memberOf = (node: string, place: number) => ({
    ...{ node, zone: 'z', rack: 'r', place, address: { host: '127.0.0.1', port } },
  });
  const members = [memberOf('gone', 0), memberOf('n1', 1)];
  return { type: 'members', image, epoch: 1, isFull: true, members, left: [], origins: [] };
}

/** Where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
