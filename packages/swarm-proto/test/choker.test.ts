import { Random } from '@bootswarm/stdx';
import { expect, test } from 'vitest';
import { Choker } from '../src/choker.ts';

const peer = (bytesReceived: number, isInterested = true) => ({
  peerIsInterested: isInterested,
  amChoking: true,
  bytesReceived,
  bytesSent: 0,
});
type TestPeer = ReturnType<typeof peer>;

function round(choker: Choker<TestPeer>, peers: TestPeer[], isSeeding = false): void {
  for (const each of choker.rechoke(peers, isSeeding)) each.amChoking = !each.amChoking;
}

test('unchokes those that gave most since the last round, and one more by turns', () => {
  const peers = [peer(10), peer(500), peer(20), peer(400), peer(0), peer(5)];
  round(new Choker(3, new Random(1)), peers);
  const open = peers.filter((each) => !each.amChoking);
  expect(open).toHaveLength(3);
  expect(open).toContain(peers[1]);
  expect(open).toContain(peers[3]);
});

test('never unchokes more than its slots, nor the uninterested', () => {
  const peers = [peer(9, false), ...Array.from({ length: 20 }, (_, n) => peer(n))];
  const choker = new Choker(5, new Random(2));
  for (let n = 0; n < 10; n += 1) {
    round(choker, peers);
    expect(peers.filter((each) => !each.amChoking)).toHaveLength(5);
    expect(peers[0].amChoking).toBe(true);
  }
});

test('gives everyone a turn in time', () => {
  const peers = Array.from({ length: 8 }, (_, n) => peer(n * 100));
  const choker = new Choker(3, new Random(3));
  const seen = new Set<TestPeer>();
  for (let n = 0; n < 200; n += 1) {
    for (const [index, each] of peers.entries()) each.bytesReceived += index * 100;
    round(choker, peers);
    for (const each of peers) if (!each.amChoking) seen.add(each);
  }
  expect(seen.size).toBe(8);
});

test('has a free slot for a newcomer until all are taken', () => {
  const choker = new Choker(2, new Random(4));
  const peers = [peer(1), peer(2), peer(3)];
  expect(choker.hasFreeSlot(peers)).toBe(true);
  round(choker, peers);
  expect(choker.hasFreeSlot(peers)).toBe(false);
});
