/** A node that is a member of a swarm before it can open it, and peers that dial it meanwhile. */
import { dialPeer, makePeerId } from '@bootswarm/peer-wire';
import { MemoryPieceStore } from '@bootswarm/piece-store';
import { ImageReader, SwarmHost } from '@bootswarm/swarm-driver';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PIECE_LENGTH, read, type TestNode, TestSwarm } from './test-swarm.ts';

let swarm: TestSwarm;
let host: SwarmHost;
let member: TestNode['member'];
let dialler: TestNode;

beforeEach(async () => {
  swarm = new TestSwarm();
  host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node: 'late', zone: 'z', rack: 'r', isOrigin: false },
    foreignPeersAllowed: false,
    onEvent: () => {},
    onMistake,
  });
  const { port } = await host.listen();
  member = { node: 'late', place: 1, zone: 'z', rack: 'r', host: '127.0.0.1', port };
  dialler = await swarm.startNode('dialler');
});

afterEach(async () => {
  await host.close();
  await swarm.end();
});

function dial(): void {
  dialler.driver.setMembers([member, dialler.member], []);
}

const codes = () => dialler.events.map((event) => ('code' in event ? event.code : event.type));

/** Another peer, which says 1,060 times what it has; resolves with the code its wire is closed with. */
function chatter(): Promise<string> {
  const closed = Promise.withResolvers<string>();
  const self = { kind: 'ours', node: 'loud', zone: 'z', rack: 'r', isOrigin: false } as const;
  const wire = dialPeer({
    ...member,
    swarm: { ...dialler.driver.wireSwarm, self, peerId: makePeerId(new Uint8Array(12)) },
    onMistake,
    handlers: {
      onReady: () => {
        for (let sent = 0; sent < 1_060; sent += 1) {
          wire.send({ type: 'have', pieceIndexes: [sent % 40] });
        }
      },
      onMessage: () => {},
      onDrain: () => {},
      onClose: closed.resolve,
    },
    connectTimeoutMs: 5_000,
  });
  return closed.promise;
}

/** The image, whole, in memory. */
function wholeStore(): MemoryPieceStore {
  const store = new MemoryPieceStore(swarm);
  expect(store.adopt(swarm.image)).toBe(true);
  return store;
}

test('a peer that dials before the swarm is open is answered when it is, without dialling again', async () => {
  host.expect(swarm.metainfo);
  dial();
  const reading = read(dialler.reader, 0, PIECE_LENGTH);
  await expect.poll(codes).toEqual(['peer-connected']);
  const driver = host.open({ ...swarm, store: wholeStore() });
  expect((await reading).equals(swarm.image.subarray(0, PIECE_LENGTH))).toBe(true);
  expect(codes()).toEqual(['peer-connected']);
  expect(driver.snapshot()).toMatchObject({ peers: 1, stats: { piecesSent: 1 } });
});

test('pieces from one that waited come in buffers of the store', async () => {
  host.expect(swarm.metainfo);
  const seeder = await swarm.startHost('seeder', wholeStore());
  seeder.driver.setMembers([member, seeder.member], []);
  await expect.poll(() => seeder.events.length).toBe(1);
  const store = new MemoryPieceStore(swarm);
  await read(new ImageReader(host.open({ ...swarm, store }), () => {}), 0, PIECE_LENGTH);
  expect(store.buffers.spareCount).toBe(1);
});

test('one that nobody expects, or that is given up, closes the wire', async () => {
  dial();
  await expect.poll(() => codes().length).toBeGreaterThan(0);
  expect(codes()[0]).toBe('peer-closed');
  host.expect(swarm.metainfo);
  await expect.poll(codes, { timeout: 5_000 }).toContain('peer-connected');
  host.shut(swarm.metainfo.imageId);
  await expect.poll(() => codes().at(-1)).not.toBe('peer-connected');
});

test('a peer that left meanwhile is nobody', async () => {
  host.expect(swarm.metainfo);
  dial();
  await expect.poll(codes).toEqual(['peer-connected']);
  await dialler.close();
  const other = await swarm.startNode('other');
  other.driver.setMembers([member, other.member], []);
  await expect.poll(() => other.events.length).toBe(1);
  const driver = host.open({ ...swarm, store: wholeStore() });
  expect(driver.snapshot().peers).toBe(1);
});

test('a peer that says more than is kept is closed, and only it', async () => {
  host.expect(swarm.metainfo);
  dial();
  await expect.poll(codes).toEqual(['peer-connected']);
  expect(await chatter()).toMatch(/^(peer-closed|socket-)/);
  const reading = read(dialler.reader, 0, 100);
  host.open({ ...swarm, store: wholeStore() });
  await reading;
  expect(codes()).toEqual(['peer-connected']);
});

test('who has everything hangs up where it dialled, and still serves who dials it', async () => {
  const store = wholeStore();
  const driver = host.open({ ...swarm, store });
  driver.setMembers([member, dialler.member], []);
  await expect.poll(codes).toEqual(['peer-connected']);
  driver.setMembers([], []);
  driver.hangUp();
  await expect.poll(() => codes().length).toBe(2);
  expect(codes()[1]).toMatch(/^(peer-closed|socket-econnreset)$/);
  dial();
  await read(dialler.reader, 0, 100);
  expect(driver.snapshot()).toMatchObject({ peers: 1 });
});

function onMistake(error: unknown): never {
  throw error;
}
