import { Bitfield, Random } from '@bootswarm/stdx';
import { MemberDirectory, SwarmEngine, type SwarmInput } from '@bootswarm/swarm-proto';
import { describe, expect, test } from 'vitest';
import { LoneEngine } from './lone-engine.ts';
import { type VirtualNode, VirtualSwarm } from './virtual-swarm.ts';

const MINUTE = 60_000;
const PIECE_LENGTH = 65_536;

function storm(nodeCount: number, pieceCount: number, seed = 1): VirtualSwarm {
  const swarm = new VirtualSwarm({ pieceCount, seed });
  for (let index = 0; index < nodeCount; index += 1) swarm.add(`node${index}`);
  swarm.announceMembers();
  return swarm;
}

/** Every guest reads the same pieces one after another, as a boot does. */
function boot(
  swarm: VirtualSwarm,
  nodes: readonly VirtualNode[],
  pieces: readonly number[],
): boolean {
  const cursor = new Map(nodes.map((node) => [node, 0]));
  const advance = (): boolean => {
    let isDone = true;
    for (const node of nodes) {
      let at = cursor.get(node)!;
      while (at < pieces.length && node.engine.snapshot().have.has(pieces[at])) at += 1;
      const isNew = at !== cursor.get(node);
      cursor.set(node, at);
      if (at < pieces.length) {
        isDone = false;
        if (isNew) swarm.input(node, { type: 'demand', pieceIndex: pieces[at] });
      }
    }
    return isDone;
  };
  for (const node of nodes) swarm.input(node, { type: 'demand', pieceIndex: pieces[0] });
  return swarm.run(swarm.now + 5 * MINUTE, advance);
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** An engine with a wire to an origin, and the pieces it has asked for. */
function readerOfOrigin(pieceCount: number) {
  const engine = new SwarmEngine<string>({
    shape: { pieceCount, pieceLength: PIECE_LENGTH, length: pieceCount * PIECE_LENGTH },
    node: 'reader',
    isOrigin: false,
    have: new Bitfield(pieceCount),
    random: new Random(1),
  });
  const asked: number[] = [];
  let now = 0;
  const input = (...inputs: SwarmInput<string>[]): void => {
    now += 1;
    for (const each of inputs) {
      engine.handle(each, now);
      for (let effect = engine.poll(); effect; effect = engine.poll()) {
        if (effect.type !== 'send' || effect.message.type !== 'request') continue;
        asked.push(effect.message.pieceIndex);
      }
    }
  };
  const identity = { kind: 'ours', node: 'origin', zone: '', rack: '', isOrigin: true } as const;
  input({ type: 'peer-connected', peer: 1, identity, dialled: undefined });
  input({ type: 'message', peer: 1, message: { type: 'unchoke' } });
  return { engine, asked, input };
}

/** A whole piece arrives and its hash is right. */
function pieceFromOrigin(pieceIndex: number): SwarmInput<string>[] {
  const piece = {
    type: 'piece',
    pieceIndex,
    offset: 0,
    length: PIECE_LENGTH,
    payload: '',
  } as const;
  return [
    { type: 'message', peer: 1, message: piece },
    { type: 'verified', pieceIndex, peer: 1, isGood: true },
  ];
}

describe('demand', () => {
  test.each([1, 2, 3, 10, 50])(
    '%i nodes booting at once take each piece from the origin once',
    (count) => {
      const swarm = storm(count, 64);
      expect(boot(swarm, swarm.nodes, range(64))).toBe(true);
      expect(swarm.origin.sentCount).toBe(64);
    },
  );

  test('a piece that nobody demanded is not fetched', () => {
    const swarm = storm(3, 64);
    boot(swarm, swarm.nodes, [3, 5, 8]);
    expect([...swarm.origin.sent.keys()].sort()).toEqual([3, 5, 8]);
  });

  test('the second guest of a node finds what the first one read', () => {
    const swarm = storm(2, 16);
    boot(swarm, [swarm.nodes[0]], range(16));
    const sent = swarm.origin.sentCount;
    boot(swarm, [swarm.nodes[0]], range(16));
    expect(swarm.origin.sentCount).toBe(sent);
  });

  test('a late node takes from its neighbours, nothing from the origin', () => {
    const swarm = storm(4, 32);
    boot(swarm, swarm.nodes, range(32));
    const late = swarm.add('late');
    swarm.announceMembers();
    expect(boot(swarm, [late], range(32))).toBe(true);
    expect(swarm.origin.sentCount).toBe(32);
  });

  test('a node asks one peer for no more than its wire bears, and for the rest as pieces come', () => {
    const { engine, asked, input } = readerOfOrigin(1_000);
    let openMax = 0;
    for (const pieceIndex of range(1_000)) input({ type: 'demand', pieceIndex });
    expect(asked).toEqual(range(128));
    for (const pieceIndex of asked) {
      input(...pieceFromOrigin(pieceIndex), { type: 'stored', pieceIndex, isKept: true });
      openMax = Math.max(openMax, engine.snapshot().requestsInFlight);
    }
    expect(asked).toEqual(range(1_000));
    expect(openMax).toBe(128);
  });

  test('a read given up while its piece is being stored does not have it fetched again', () => {
    const { engine, asked, input } = readerOfOrigin(8);
    input({ type: 'demand', pieceIndex: 3 }, ...pieceFromOrigin(3));
    input({ type: 'demand', pieceIndex: 3 }, { type: 'demand-over', pieceIndex: 3 });
    expect(engine.snapshot().demandsOpen).toBe(0);
    input({ type: 'stored', pieceIndex: 3, isKept: false });
    expect(asked).toEqual([3]);
  });

  test('nodes that were never told of members take from the origin', () => {
    const swarm = new VirtualSwarm({ pieceCount: 8 });
    const node = swarm.add('alone');
    const origins = [{ host: 'origin', port: 1 }];
    swarm.input(node, { type: 'members', members: MemberDirectory.EMPTY, origins });
    expect(boot(swarm, [node], range(8))).toBe(true);
    expect(node.engine.snapshot().stats.originRequests['no-holder']).toBe(8);
  });
});

describe('relaying', () => {
  test('a request that becomes urgent is passed on as it is, and not taken back', () => {
    const relay = new LoneEngine(8, 'relay');
    relay.connectNode(1, 'origin', true);
    relay.connectNode(2, 'child');
    relay.take(1);
    const asked = { type: 'request', pieceIndex: 3, offset: 0, length: PIECE_LENGTH } as const;
    relay.hear(2, { ...asked, pieceClass: 'boot-order' });
    const raised = { type: 'priority', pieceIndex: 3, pieceClass: 'demand' } as const;
    relay.hear(2, raised);
    expect(relay.take(1)).toEqual([{ ...asked, pieceClass: 'boot-order' }, raised]);
    relay.hear(2, { ...asked, type: 'cancel' });
    expect(relay.take(1)).toEqual([{ ...asked, type: 'cancel' }]);
  });
});

describe('faults', () => {
  test('a boot goes on when a relaying node crashes in the middle', () => {
    const swarm = storm(12, 200);
    const victim = swarm.nodes[0];
    const others = swarm.nodes.slice(1);
    swarm.run(20);
    for (const node of others) swarm.input(node, { type: 'demand', pieceIndex: 199 });
    swarm.crash(victim);
    expect(boot(swarm, others, range(200))).toBe(true);
  });

  test('a boot goes on past a frozen relaying node', () => {
    const swarm = storm(12, 100);
    swarm.run(50);
    swarm.nodes[0].isFrozen = true;
    swarm.nodes[1].isFrozen = true;
    expect(boot(swarm, swarm.nodes.slice(2), range(100))).toBe(true);
  });

  test('a read waits while no source is reachable and is answered when one returns', () => {
    const swarm = storm(1, 8);
    const [node] = swarm.nodes;
    swarm.run(20);
    swarm.origin.isFrozen = true;
    swarm.input(node, { type: 'demand', pieceIndex: 5 });
    swarm.run(60 * MINUTE);
    expect(node.engine.snapshot().demandsOpen).toBe(1);
    swarm.thaw(swarm.origin);
    expect(swarm.run(swarm.now + 2 * MINUTE, () => node.delivered.has(5))).toBe(true);
  });

  test('the origin dying after one copy is in the swarm is not noticed', () => {
    const swarm = storm(6, 64);
    boot(swarm, [swarm.nodes[0]], range(64));
    swarm.crash(swarm.origin);
    expect(boot(swarm, swarm.nodes, range(64))).toBe(true);
  });

  test('a wrong piece is never delivered and its sender is left after the first', () => {
    const swarm = storm(3, 40);
    for (const node of swarm.nodes) boot(swarm, [node], range(40));
    const poisoners = swarm.nodes.slice();
    for (const node of poisoners) node.isPoisoner = true;
    const late = swarm.add('late');
    swarm.announceMembers();
    expect(boot(swarm, [late], range(40))).toBe(true);
    const { piecesRefuted } = late.engine.snapshot().stats;
    expect(piecesRefuted).toBeGreaterThan(0);
    expect(piecesRefuted).toBeLessThanOrEqual(poisoners.length);
    const ends = [...late.wires.values()].flatMap(({ from, to }) => [from, to]);
    expect(ends.filter((node) => poisoners.includes(node))).toHaveLength(
      poisoners.length - piecesRefuted,
    );
  });

  test('a restarted node with its pieces fetches none of them again', () => {
    const swarm = storm(3, 60);
    boot(swarm, swarm.nodes, range(30));
    const have = swarm.nodes[2].engine.snapshot().have.clone();
    swarm.crash(swarm.nodes[2]);
    swarm.nodes.pop();
    const restarted = swarm.add('node2', have);
    swarm.announceMembers();
    expect(boot(swarm, [restarted], range(60))).toBe(true);
    expect([...restarted.delivered.keys()].sort((a, b) => a - b)).toEqual(range(60).slice(30));
  });
});

describe('fill', () => {
  test.each([1, 3, 10])(
    '%i nodes fill completely and the origin sends each piece about once',
    (count) => {
      const swarm = storm(count, 300);
      for (const node of swarm.nodes) swarm.input(node, { type: 'fill', enabled: true });
      const isFull = (): boolean => swarm.nodes.every((node) => node.engine.snapshot().have.isFull);
      expect(swarm.run(5 * MINUTE, isFull)).toBe(true);
      expect(swarm.origin.sentCount).toBeLessThanOrEqual(300 * 1.05);
    },
  );

  test('pieces whose owner does not fill are taken all the same', () => {
    const swarm = storm(3, 60);
    swarm.input(swarm.nodes[0], { type: 'fill', enabled: true });
    const isFull = (): boolean => swarm.nodes[0].engine.snapshot().have.isFull;
    expect(swarm.run(5 * MINUTE, isFull)).toBe(true);
  });

  test('zero pieces, held from the start, are never asked for', () => {
    const swarm = new VirtualSwarm({ pieceCount: 100 });
    const zeros = new Bitfield(100);
    zeros.setRange(10, 80);
    const node = swarm.add('node0', zeros);
    swarm.announceMembers();
    swarm.input(node, { type: 'fill', enabled: true });
    expect(swarm.run(MINUTE, () => node.engine.snapshot().have.isFull)).toBe(true);
    expect(swarm.origin.sentCount).toBe(20);
  });
});

test('the same seed gives the same run', () => {
  const trail = (seed: number): string => {
    const swarm = storm(8, 100, seed);
    for (const node of swarm.nodes) swarm.input(node, { type: 'fill', enabled: true });
    const isFull = (): boolean => swarm.nodes.every((node) => node.engine.snapshot().have.isFull);
    swarm.run(5 * MINUTE, isFull);
    return JSON.stringify([swarm.now, swarm.nodes.map((node) => [...node.sent])]);
  };
  expect(trail(7)).toBe(trail(7));
  expect(trail(7)).not.toBe(trail(8));
});
