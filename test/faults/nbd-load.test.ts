/** Many NBD clients, and such as take all they can get: the rest of the host's VMs are served, and memory stays bounded. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VmInfo } from '@bootswarm/agent';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import {
  CLIENT_FLAGS,
  CMD,
  OPTION,
  option,
  request,
  simpleReply,
  text,
} from '../../packages/nbd-proto/test/wire.ts';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { peakResidentBytes } from '../process-usage.ts';
import { makeTestImage } from '../test-image.ts';
import { attackWithoutReading } from './attack.ts';

const MIB = 1024 * 1024;
const LENGTH = 64 * MIB;
const PIECE_LENGTH = 64 * 1024;
/** What is configured: hot pieces and replies. Measured in all, after the last test: 241 and 251 MiB. */
const HOT_BYTES = 32 * MIB;
const REPLY_BYTES = 32 * MIB;
const AGENT_BYTES_MAX = 256 * MIB + HOT_BYTES + REPLY_BYTES;

let cluster: Cluster;
let agent: TestAgent;
let socket: string;
let source: string;
let original: Buffer;
let image: string;

beforeAll(async () => {
  cluster = await Cluster.start(1, ['--hot', '32M', '--nbd-memory', '32M']);
  [agent] = cluster.agents;
  socket = join(agent.runDir, 'nbd.sock');
  source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  original = readFileSync(source);
  image = await cluster.publish(source, 'crowded');
  await agent.attach(image);
});

afterAll(() => cluster.stop());

/** Opens `count` connections at once, and has each read a piece of its own. */
async function crowd(count: number): Promise<RawClient[]> {
  const clients = await Promise.all(
    Array.from({ length: count }, () => RawClient.open(socket, image)),
  );
  await Promise.all(clients.map((client, index) => readPiece(client, index)));
  return clients;
}

async function readPiece(client: RawClient, index: number): Promise<void> {
  const offset = (index * PIECE_LENGTH) % LENGTH;
  client.send(request(CMD.read, offset, PIECE_LENGTH));
  const expected = simpleReply(0, original.subarray(offset, offset + PIECE_LENGTH));
  const reply = await client.receive(expected.length);
  expect(reply.equals(expected), `the piece at ${offset}`).toBe(true);
}

function hungUp(clients: readonly RawClient[]): void {
  for (const client of clients) client.socket.destroy();
}

test('200 clients are served, and 500 more that connect at once', async () => {
  const settled = await crowd(200);
  const more = await crowd(500);
  await Promise.all(settled.map((client, index) => readPiece(client, index + 100)));
  hungUp([...settled, ...more]);
  expect(peakResidentBytes(agent.pid)).toBeLessThan(AGENT_BYTES_MAX);
});

test.each([
  ['4 KiB', 4096],
  ['1 MiB', MIB],
])('a million reads of %s from a client that takes no reply cost little', async (_, length) => {
  const reads = Buffer.alloc(1_000_000 * 28, request(CMD.read, 0, length));
  const opened = [CLIENT_FLAGS, option(OPTION.exportName, text(image))];
  const greedy = await attackWithoutReading({ path: socket }, Buffer.concat([...opened, reads]));
  const guests = await crowd(10);
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(guests.map((guest, index) => readPiece(guest, round * 10 + index)));
  }
  greedy.destroy();
  hungUp(guests);
  expect(peakResidentBytes(agent.pid)).toBeLessThan(AGENT_BYTES_MAX);
});

test('forty clients that ask for all of an image and take no reply leave room for a guest', async () => {
  const bait = await cluster.publish(source, 'bait');
  await agent.attach(bait);
  const offsets = Array.from({ length: LENGTH / MIB }, (_, at) => at * MIB);
  const reads = Buffer.concat(offsets.map((offset) => request(CMD.read, offset, MIB)));
  const bytes = Buffer.concat([CLIENT_FLAGS, option(OPTION.exportName, text(bait)), reads, reads]);
  const hoarders = await Promise.all(
    Array.from({ length: 40 }, () => attackWithoutReading({ path: socket }, bytes)),
  );
  const nbd = async () => (await agent.status()).nbd;
  await until('they hold what they may', async () => (await nbd()).replyBytes > REPLY_BYTES);
  const guests = await crowd(10);
  // A reply of its own, and one that must wait for its piece, as hoarders have it.
  const late = await RawClient.open(socket, bait);
  late.send(request(CMD.read, 5 * MIB, MIB - 4096));
  const expected = simpleReply(0, original.subarray(5 * MIB, 6 * MIB - 4096));
  expect((await late.receive(expected.length)).equals(expected)).toBe(true);
  const { replyBytes, replyBytesMax, connections } = await nbd();
  expect(replyBytesMax).toBe(REPLY_BYTES);
  expect(replyBytes).toBeLessThanOrEqual(2 * REPLY_BYTES);
  expect(connections).toBe(hoarders.length + guests.length + 1);
  for (const hoarder of hoarders) hoarder.destroy();
  hungUp([...guests, late]);
  expect(peakResidentBytes(agent.pid)).toBeLessThan(AGENT_BYTES_MAX);
});

test('a flood of prefetches of the whole image has each piece fetched once', async () => {
  const wanted = await cluster.publish(source, 'wanted');
  await agent.attach(wanted);
  const client = await RawClient.open(socket, wanted);
  const count = 1_000;
  client.send(Buffer.alloc(count * 28, request(CMD.cache, 0, LENGTH)));
  const acknowledged = Buffer.alloc(count * 16, simpleReply(0));
  expect((await client.receive(count * 16)).equals(acknowledged)).toBe(true);
  const status = async () => (await agent.status()).images.find(({ id }) => id === wanted)!;
  await until('the image is here', async () => {
    const { piecesHad, pieceCount } = await status();
    return piecesHad === pieceCount;
  });
  const { pieceCount, zeroPieces, bytesFromOrigin } = await status();
  expect(bytesFromOrigin).toBe((pieceCount - zeroPieces) * PIECE_LENGTH);
  client.socket.destroy();
});

test("NBD_OPT_LIST tells of what is attached, and of nobody's VM", async () => {
  await agent.createVm(image, 'private');
  const { stdout } = await run('nbdinfo', ['--list', '--json', `nbd+unix:///?socket=${socket}`]);
  const { exports } = JSON.parse(stdout) as { exports: { 'export-name': string }[] };
  const names = exports.map((found) => found['export-name']);
  expect(names).toContain(image);
  expect(names.filter((name) => name.includes('@'))).toEqual([]);
});

/** Sixteen reads of what is not here, as QEMU has in flight at most; then one of what is. */
const STUCK = `
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
held = [nbd.Buffer(65536) for _ in range(16)]
stuck = [h.aio_pread(held[i], 1048576 * (8 + i % 3) + 65536 * i) for i in range(16)]
print(len(h.pread(4096, 0)), h.aio_in_flight(), flush=True)
while h.aio_in_flight() > 0: h.poll(-1)
sys.stdout.buffer.write(b"".join(bytes(each.to_bytearray()) for each in held))
`;

test('sixteen reads of pieces that nobody can give stop neither other VMs nor their own', async () => {
  const far = await cluster.publish(source, 'far');
  const [stuck, other] = await Promise.all(
    ['stuck', 'other'].map((name) => agent.createVm(far, name)),
  );
  const uri = (vm: VmInfo) => `nbd+unix:///${vm.export}?socket=${socket}`;
  const expectReadsHead = async (vm: VmInfo) => {
    const commands = ['-c', 'read -v 0 512', '-c', `read ${MIB} 4M`];
    const { code, stdout } = await run('qemu-io', ['-r', '-f', 'raw', ...commands, uri(vm)]);
    const dumped = [...stdout.matchAll(/^[0-9a-f]{8}: {2}((?:[0-9a-f]{2} )+) /gm)];
    const hex = dumped.map(([, bytes]) => bytes.replaceAll(' ', '')).join('');
    expect([code, hex]).toEqual([0, original.subarray(0, 512).toString('hex')]);
  };
  await expectReadsHead(other);
  process.kill(cluster.originPid, 'SIGSTOP');
  const child = spawn('/usr/bin/python3', ['-c', STUCK, uri(stuck)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('latin1').on('data', (more: string) => {
    output += more;
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    await until('sixteen reads wait', async () => {
      const { images } = await agent.status();
      return images.find(({ id }) => id === far)!.readsWaiting === 16 && output !== '';
    });
    expect(output).toBe('4096 16\n');
    // The same image through another VM's export, and another image.
    await expectReadsHead(other);
    hungUp(await crowd(5));
  } finally {
    process.kill(cluster.originPid, 'SIGCONT');
  }
  expect(await ended).toBe(0);
  const bytes = Buffer.from(output.slice('4096 16\n'.length), 'latin1');
  const expected = Array.from({ length: 16 }, (_, index) => {
    const offset = MIB * (8 + (index % 3)) + PIECE_LENGTH * index;
    return original.subarray(offset, offset + PIECE_LENGTH);
  });
  expect(bytes.equals(Buffer.concat(expected))).toBe(true);
  expect(peakResidentBytes(agent.pid)).toBeLessThan(AGENT_BYTES_MAX);
});
