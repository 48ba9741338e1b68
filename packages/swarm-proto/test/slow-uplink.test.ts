import { Bitfield } from '@bootswarm/stdx';
import { expect, test } from 'vitest';
import { LoneEngine, PIECE_LENGTH } from './lone-engine.ts';
import { type VirtualNode, VirtualSwarm } from './virtual-swarm.ts';

const PIECES = 40;

/** The first has a hundredth of the others' uplink, and its wires are there. */
function swarmWithSlow(options: {
  isSlow: boolean;
  haveAll?: boolean;
}): [VirtualSwarm, VirtualNode] {
  const swarm = new VirtualSwarm({ pieceCount: PIECES });
  const have = options.haveAll ? Bitfield.full(PIECES) : undefined;
  const slow = swarm.add('n0', have);
  for (let index = 1; index < 8; index += 1) swarm.add(`n${index}`).uplink = 125_000;
  slow.uplink = options.isSlow ? 1_250 : 125_000;
  swarm.announceMembers();
  swarm.run(500);
  return [swarm, slow];
}

function demandAll(swarm: VirtualSwarm, node: VirtualNode): void {
  for (let pieceIndex = 0; pieceIndex < PIECES; pieceIndex += 1) {
    swarm.input(node, { type: 'demand', pieceIndex });
  }
}

test('a node with a slow uplink tells tracker and neighbours so before anybody has asked it', () => {
  const [, slow] = swarmWithSlow({ isSlow: true });
  expect(slow.suspected).toEqual(['n0']);
  expect(slow.said.get('busy')).toBeGreaterThan(0);
  expect(slow.sentCount).toBe(0);
});

test('nodes of one speed suspect nobody', () => {
  const [swarm, first] = swarmWithSlow({ isSlow: false });
  expect(swarm.nodes.flatMap(({ suspected }) => suspected)).toEqual([]);
  expect(first.said.get('busy')).toBeUndefined();
});

test('nobody waits for a piece from a node that says it is slow', () => {
  const [swarm, slow] = swarmWithSlow({ isSlow: true });
  for (const node of swarm.nodes) if (node !== slow) demandAll(swarm, node);
  const others = swarm.nodes.filter((node) => node !== slow);
  const isDone = () => others.every(({ delivered }) => delivered.size === PIECES);
  expect(swarm.run(10_000, isDone)).toBe(true);
  expect(slow.sentCount).toBe(0);
});

test('a slow node still serves what nobody else has', () => {
  const [swarm, slow] = swarmWithSlow({ isSlow: true, haveAll: true });
  swarm.crash(swarm.origin);
  const other = swarm.nodes[1];
  demandAll(swarm, other);
  expect(swarm.run(600_000, () => other.delivered.size === PIECES)).toBe(true);
  expect(slow.sentCount).toBeGreaterThanOrEqual(PIECES);
  // Most of what it was asked for at once it refused, and was asked again.
  expect(slow.said.get('reject')).toBeGreaterThan(PIECES / 2);
});

test('what is asked while a node measures its uplink waits until it has', () => {
  const seeder = new LoneEngine(PIECES, 'self', Bitfield.full(PIECES));
  const peers = [1, 2, 3, 4];
  for (const peer of peers) seeder.connectNode(peer, `n${peer}`);
  const pings = () =>
    peers.flatMap((peer) => seeder.take(peer)).filter((said) => said.type === 'ping');
  while (pings().length === 0) seeder.pass(10);
  const request = { type: 'request', pieceIndex: 3, offset: 0, length: PIECE_LENGTH } as const;
  seeder.hear(1, { ...request, pieceClass: 'demand' });
  expect(seeder.uploads).toEqual([]);
  seeder.pass(1_000);
  expect(seeder.uploads).toMatchObject([{ peer: 1, pieceIndex: 3 }]);
});

test('a node that knows it is slow takes no silence for the fault of others', () => {
  const [swarm, slow] = swarmWithSlow({ isSlow: true });
  for (const node of swarm.nodes) node.isFrozen = node !== slow;
  demandAll(swarm, slow);
  swarm.run(3_000);
  expect(slow.suspected).toEqual(['n0']);
});

test('a wire made later hears at once that the node is slow', () => {
  const [swarm, slow] = swarmWithSlow({ isSlow: true });
  const before = slow.said.get('busy')!;
  swarm.add('late').uplink = 125_000;
  swarm.announceMembers();
  swarm.run(2_000);
  expect(slow.said.get('busy')).toBeGreaterThan(before);
});
