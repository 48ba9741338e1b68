import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { SIGNALLING_VERSION } from '@bootswarm/tracker-proto';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SignalLimits, SignalServer } from '../src/signal-server.ts';
import { Agent, IMAGE, KEY } from './signal-agent.ts';

const ORIGIN = { host: '10.0.0.1', port: 7_000 };

let http: Server;
let signals: SignalServer;
/** Images of which more was learned, and the kinds to keep of each. */
let learned: [string, number][];
let onReport: () => void;
let onGone: () => void;

beforeEach(() => start());

afterEach(() => stop());

async function start(limits: Partial<SignalLimits> = {}): Promise<void> {
  http = createServer((_, response) => response.end());
  learned = [];
  onReport = () => {};
  onGone = () => {};
  signals = new SignalServer({
    server: http,
    publisherKey: KEY,
    log: pino({ level: 'silent' }),
    onLearned: (image, records) => learned.push([image, records().length]),
    onReport: () => onReport(),
    prefetches: { nodeConnected: () => {}, nodeGone: () => onGone(), heard: () => {} },
    limits,
  });
  signals.imagePublished({ id: IMAGE, pieceCount: 100, prejoin: 'none' }, []);
  signals.originsChanged([ORIGIN]);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
}

async function stop(): Promise<void> {
  signals.close();
  http.closeAllConnections();
  http.close();
  await once(http, 'close');
}

async function restart(limits: Partial<SignalLimits>): Promise<void> {
  await stop();
  await start(limits);
}

const port = () => (http.address() as AddressInfo).port;

/** A WebSocket whose frames are written by hand. */
async function rawSocket(): Promise<Socket> {
  const socket = connect(port(), '127.0.0.1');
  socket.write(
    'GET /v1/signal HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  await once(socket, 'data');
  return socket;
}

/** A masked frame of a client; the mask is zero. */
function frame(firstByte: number, payload: Uint8Array, declaredLength = payload.length): Buffer {
  const head = Buffer.alloc(14);
  head[0] = firstByte;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(declaredLength), 2);
  const small = Buffer.of(firstByte, 0x80 | declaredLength, 0, 0, 0, 0);
  const medium = Buffer.of(
    firstByte,
    0x80 | 126,
    declaredLength >> 8,
    declaredLength & 0xff,
    0,
    0,
    0,
    0,
  );
  return Buffer.concat([
    declaredLength < 126 ? small : declaredLength < 65_536 ? medium : head,
    payload,
  ]);
}

/** The close code in the frames that come until the end, or undefined. */
async function closeCode(socket: Socket): Promise<number | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of socket) chunks.push(chunk);
  } catch {
    // Reset: what came before counts.
  }
  const bytes = Buffer.concat(chunks);
  const at = bytes.indexOf(0x88);
  return at === -1 ? undefined : bytes.readUInt16BE(at + 2);
}

/** What a working tracker does; after every attack it still does. */
async function expectService(): Promise<void> {
  const agent = await Agent.hello(port(), `probe-${Math.random()}`);
  agent.join();
  expect(await agent.next()).toMatchObject({ type: 'members', isFull: true, origins: [ORIGIN] });
  agent.say({ type: 'leave', image: IMAGE });
  agent.socket.close();
  await agent.closed;
}

describe('agents', () => {
  test('are told of each other, by the address they come from', async () => {
    const one = await Agent.hello(port(), 'one');
    one.join();
    const member = (node: string, place: number) => ({
      node,
      place,
      zone: 'z',
      rack: 'r',
      address: { host: '127.0.0.1', port: 6_881 },
    });
    expect(await one.next()).toMatchObject({ epoch: 1, isFull: true, members: [member('one', 0)] });
    const two = await Agent.hello(port(), 'two');
    two.join();
    expect(await two.next()).toMatchObject({
      epoch: 2,
      isFull: true,
      members: [member('one', 0), member('two', 1)],
    });
    expect(await one.next()).toMatchObject({
      epoch: 2,
      isFull: false,
      members: [member('two', 1)],
      left: [],
    });
    expect(signals.nodes().map(({ images }) => images)).toEqual([[IMAGE], [IMAGE]]);
    signals.imageWithdrawn(IMAGE);
    expect(await one.next()).toEqual({ type: 'withdrawn', image: IMAGE });
  });

  test('are dropped from the swarm when their grace time is over', async () => {
    await restart({ graceMs: 20 });
    const one = await Agent.hello(port(), 'one');
    one.join();
    await one.next();
    const two = await Agent.hello(port(), 'two');
    two.join();
    await one.next();
    two.socket.terminate();
    expect(await one.next()).toMatchObject({ left: ['two'] });
  });

  test('are closed when another of their name comes', async () => {
    const one = await Agent.hello(port(), 'one');
    await Agent.hello(port(), 'one');
    expect(await one.closedWith()).toEqual([4_000, 'replaced']);
    expect(signals.agentCount).toBe(1);
  });

  test('lose their own connection, and nobody another, by a mistake of ours in what they say', async () => {
    onReport = () => {
      throw new Error('a mistake');
    };
    const one = await Agent.hello(port(), 'one');
    const two = await Agent.hello(port(), 'two');
    const counts = {
      ...{ intervalMs: 1_000, vmsBooting: 0, vmsConnected: 0, readCache: 0, readPeers: 0 },
      ...{ readOrigin: 0, receivedPeers: 0, receivedOrigin: 0, cacheBytes: 0, cacheBytesMax: 0 },
    };
    one.say({ type: 'stats', report: { ...counts, originReads: [], alarms: [] } });
    expect(await one.closedWith()).toEqual([1_011, 'internal-error']);
    expect([...signals.errors]).toEqual([['internal-error', 1]]);
    two.join();
    expect(await two.next()).toMatchObject({ type: 'members' });
  });

  test('do not notice a mistake of ours in the end of another', async () => {
    const one = await Agent.hello(port(), 'one');
    const two = await Agent.hello(port(), 'two');
    onGone = () => {
      throw new Error('a mistake');
    };
    one.socket.terminate();
    await one.closed;
    two.join();
    expect(await two.next()).toMatchObject({ type: 'members' });
    await expect.poll(() => [...signals.errors]).toEqual([['internal-error', 1]]);
  });

  test('are told when the tracker stops', async () => {
    const one = await Agent.hello(port(), 'one');
    signals.close();
    expect(await one.closedWith()).toEqual([1_001, 'tracker-stopping']);
  });
});

describe('an upgrade', () => {
  test.each([
    ['/v1/signals', {}, 404],
    ['/', {}, 404],
    ['/v1/signal?x', {}, 404],
    ['/v1/signal', { Origin: 'http://evil.example' }, 403],
  ])('at %s with %j is refused with %i', async (path, headers, status) => {
    const agent = new Agent(port(), path, headers);
    const [, response] = (await once(agent.socket, 'unexpected-response')) as [
      unknown,
      IncomingMessage,
    ];
    expect(response.statusCode).toBe(status);
    agent.socket.terminate();
  });

  test.each([
    ['a bad key', 'Sec-WebSocket-Key: x', 'Sec-WebSocket-Version: 13'],
    ['no key', 'X: y', 'Sec-WebSocket-Version: 13'],
    ['an old version', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Version: 0'],
  ])('with %s is refused and the connection ends', async (_, ...lines) => {
    const socket = connect(port(), '127.0.0.1');
    const head = [
      'GET /v1/signal HTTP/1.1',
      'Host: x',
      'Upgrade: websocket',
      'Connection: Upgrade',
      ...lines,
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 400 /);
    await once(socket, 'close');
    await expectService();
  });
});

describe('an agent that breaks the protocol loses its connection and nothing else:', () => {
  const cases: [string, (agent: Agent) => void, [number, string]][] = [
    ['text', (agent) => agent.socket.send('{"type":"hello"}'), [1_003, 'text-frame']],
    [
      'random bytes',
      (agent) => agent.socket.send(Buffer.of(0xc1, 0xff)),
      [1_008, 'message-malformed'],
    ],
    ['nothing', (agent) => agent.socket.send(Buffer.alloc(0)), [1_008, 'message-malformed']],
    [
      'an extension',
      (agent) => agent.socket.send(Buffer.of(0xd4, 0x72, 0)),
      [1_008, 'extension-refused'],
    ],
    ['too long a message', (agent) => agent.socket.send(Buffer.alloc(65_537)), [1_009, '']],
    ['a join before hello', (agent) => agent.join(), [4_000, 'hello-expected']],
    [
      'another version',
      (agent) => {
        const address = { host: '', port: 1 };
        agent.say({ type: 'hello', version: 9, node: 'n', zone: 'z', rack: 'r', address });
      },
      [4_000, 'version-unsupported'],
    ],
  ];
  test.each(cases)('%s', async (_, attack, closed) => {
    const agent = new Agent(port());
    await once(agent.socket, 'open');
    attack(agent);
    expect(await agent.closedWith()).toEqual(closed);
    await expectService();
  });

  test('two hellos', async () => {
    const agent = await Agent.hello(port(), 'n');
    agent.say({
      type: 'hello',
      version: SIGNALLING_VERSION,
      node: 'n',
      zone: 'z',
      rack: 'r',
      address: { host: '', port: 1 },
    });
    expect(await agent.closedWith()).toEqual([4_000, 'hello-repeated']);
  });

  test('too many messages', async () => {
    const agent = await Agent.hello(port(), 'n');
    for (let count = 0; count < 2_000; count += 1) agent.say({ type: 'leave', image: IMAGE });
    expect(await agent.closedWith()).toEqual([4_000, 'too-many-messages']);
    await expectService();
  });

  test('more than 16 fragments', async () => {
    const socket = await rawSocket();
    socket.write(frame(0x02, Buffer.of(0x80)));
    for (let count = 0; count < 16; count += 1) socket.write(frame(0x00, Buffer.of(0)));
    expect(await closeCode(socket)).toBe(1_008);
    await expectService();
  });

  test.each([
    ['a declared length beyond 64 KiB', frame(0x82, Buffer.alloc(0), 2 ** 40), 1_009],
    ['a compressed frame that nobody negotiated', frame(0xc2, Buffer.of(0)), 1_002],
    ['reserved bits', frame(0xb2, Buffer.of(0)), 1_002],
    ['an unknown opcode', frame(0x83, Buffer.of(0)), 1_002],
    ['an unmasked frame', Buffer.of(0x82, 0x01, 0x00), 1_002],
    ['a ping of more than 125 bytes', frame(0x89, Buffer.alloc(126)), 1_002],
    ['a continuation of nothing', frame(0x80, Buffer.of(0)), 1_002],
    ['a close frame of one byte', frame(0x88, Buffer.of(0)), 1_002],
  ])('%s', async (_, bytes, code) => {
    const socket = await rawSocket();
    socket.write(bytes);
    expect(await closeCode(socket)).toBe(code);
    await expectService();
  });

  test('silence before hello', async () => {
    await restart({ helloTimeoutMs: 20 });
    const agent = new Agent(port());
    expect(await agent.closedWith()).toEqual([4_000, 'hello-timeout']);
  });

  test('silence after it, although frames were begun', async () => {
    await restart({ pingIntervalMs: 10, silenceMaxMs: 30, helloTimeoutMs: 60_000 });
    const socket = await rawSocket();
    // The first fragment of a message that never ends.
    socket.write(frame(0x02, Buffer.of(0x80)));
    // The pings that come in between are never answered.
    expect(await closeCode(socket)).toBeUndefined();
    expect(signals.agentCount).toBe(0);
  });

  test('a connection too many', async () => {
    await restart({ agentsMax: 1 });
    await Agent.hello(port(), 'one');
    expect(await new Agent(port()).closedWith()).toEqual([4_000, 'too-many-agents']);
  });

  test('never reading', async () => {
    // Its kernel takes in some megabytes before our buffer fills, so that every message must count.
    await restart({ bufferedBytesMax: 1_000, epochIntervalMs: 0 });
    const agent = await Agent.hello(port(), 'deaf');
    agent.join();
    await agent.next();
    const gone = new Promise<void>((resolve) => {
      const look = () => (signals.agentCount === 0 ? resolve() : setImmediate(flood));
      const origins = Array.from({ length: 16 }, () => ({
        host: `${'h'.repeat(60)}.example`,
        port: 1,
      }));
      const flood = () => {
        for (let count = 0; count < 100; count += 1) signals.originsChanged(origins);
        look();
      };
      flood();
    });
    agent.socket.pause();
    await gone;
    agent.socket.terminate();
    await restart({});
    await expectService();
  });
});
