import { Bitfield } from '@bootswarm/stdx';
import { DEFAULT_LIMITS, type PeerMessage } from '@bootswarm/swarm-proto';
import { describe, expect, it } from 'vitest';
import { FaultPlan, faultOf } from '../src/faults.ts';
import { NodeDisk } from '../src/node-disk.ts';
import { NodeLedger } from '../src/node-ledger.ts';
import { DEMAND_BOUND_MS, type Holder, RunChecker } from '../src/run-checker.ts';
import type { SimPayload } from '../src/sim-message.ts';
import type { SimNode } from '../src/sim-node.ts';
import { World } from './network-world.ts';

const PIECES = 400;
const PEER = 1;
const LIMITS = DEFAULT_LIMITS;

function checked() {
  const world = new World();
  const poisoners = new Set(['poisoner']);
  const options = { clock: world.clock, seed: 7, pieceCount: PIECES, poisoners };
  const run = new RunChecker(options);
  const ledgerOf = (name: string) =>
    new NodeLedger({
      name,
      run,
      have: new Bitfield(PIECES),
      pieceLength: 65_536,
      limits: LIMITS,
    });
  const ledger = ledgerOf('node1');
  ledger.onConnected(PEER, 'poisoner');
  return { world, run, ledger, ledgerOf };
}

function request(pieceIndex: number, pieceClass: 'demand' | 'fill'): PeerMessage<SimPayload> {
  return { type: 'request', pieceIndex, offset: 0, length: 65_536, pieceClass };
}

function reject(pieceIndex: number): PeerMessage<SimPayload> {
  return { type: 'reject', pieceIndex, offset: 0, length: 65_536 };
}

function times(count: number, act: (index: number) => void): void {
  for (let index = 0; index < count; index += 1) act(index);
}

describe('a breach', () => {
  it('names seed, virtual time, node and what it did', () => {
    const { world, ledger } = checked();
    world.run(12.5);
    expect(() => ledger.onDeliver(3, 'bad', false)).toThrow(
      'seed 7, at 12.500 ms: node1 delivers wrong piece 3',
    );
  });
});

describe('ledger of a node', () => {
  it('allows to serve and to answer with what was verified, and nothing else', () => {
    const { ledger } = checked();
    expect(() => ledger.onUpload(PEER, 3)).toThrow('sends piece 3, which it has not verified');
    expect(() => ledger.onAnswered([3])).toThrow('answers a read of piece 3 without it');
    ledger.onDeliver(3, 'good', false);
    ledger.onUpload(PEER, 3);
    ledger.onAnswered([3]);
    expect(ledger.delivered).toBe(1);
  });

  it('bounds the wires that are kept', () => {
    const { ledger } = checked();
    ledger.onPeers(LIMITS.peersMax);
    expect(() => ledger.onPeers(LIMITS.peersMax + 1)).toThrow('keeps 65 wires, 64 at most');
  });

  it('bounds the pieces asked of one peer; answered and cancelled ones count no more', () => {
    const { ledger } = checked();
    const { demandInFlightMax } = LIMITS;
    times(demandInFlightMax, (index) => ledger.onSent(PEER, request(index, 'demand')));
    ledger.onReceived(PEER, reject(0));
    ledger.onSent(PEER, { type: 'cancel', pieceIndex: 1, offset: 0, length: 65_536 });
    times(2, (index) => ledger.onSent(PEER, request(200 + index, 'demand')));
    expect(() => ledger.onSent(PEER, request(300, 'demand'))).toThrow('for 129 pieces');
  });

  it('bounds the pieces asked for ahead of guests, over all peers; a raised one is ahead no more', () => {
    const { ledger } = checked();
    ledger.onConnected(2, 'other');
    const { prefetchInFlightMax } = LIMITS;
    times(prefetchInFlightMax, (index) => ledger.onSent(PEER, request(index, 'fill')));
    // The same piece of a second peer is one piece.
    ledger.onSent(2, request(0, 'fill'));
    ledger.onSent(PEER, { type: 'priority', pieceIndex: 1, pieceClass: 'demand' });
    ledger.onSent(2, request(100, 'fill'));
    expect(() => ledger.onSent(2, request(101, 'fill'))).toThrow('asks ahead for 65 pieces');
    ledger.onDisconnected(PEER);
    times(60, (index) => ledger.onSent(2, request(110 + index, 'fill')));
  });

  it('allows to ask ahead for what peers wait for', () => {
    const { ledger } = checked();
    times(10, (index) => ledger.onReceived(PEER, request(index, 'fill')));
    times(74, (index) => ledger.onSent(PEER, request(index, 'fill')));
    expect(() => ledger.onSent(PEER, request(99, 'fill'))).toThrow('asks ahead for 75 pieces');
  });

  it('bounds the answers that are owed to a peer', () => {
    const { ledger } = checked();
    times(256, (index) => ledger.onReceived(PEER, request(index, 'fill')));
    ledger.onSent(PEER, reject(0));
    ledger.onReceived(PEER, request(256, 'fill'));
    expect(() => ledger.onReceived(PEER, request(257, 'fill'))).toThrow('257 answers');
  });

  it('bounds the uploads in hand', () => {
    const { ledger } = checked();
    ledger.onDeliver(3, 'good', false);
    times(LIMITS.uploadsInHandMax, () => ledger.onUpload(PEER, 3));
    ledger.onUploaded(PEER);
    ledger.onUpload(PEER, 3);
    expect(() => ledger.onUpload(PEER, 3)).toThrow('has 9 uploads in hand');
  });

  it('wants a poisoner left after its first wrong piece, and never asked again', () => {
    const { ledger, run } = checked();
    ledger.onRefuted(PEER);
    expect(() => ledger.onRefutedHandled()).toThrow('stays with poisoner');
    ledger.onBan('poisoner');
    ledger.onRefutedHandled();
    expect(run.bans).toBe(1);
    expect(() => ledger.onSent(PEER, request(1, 'demand'))).toThrow('which it has left');
  });

  it('wants no honest peer left for a wrong piece', () => {
    expect(() => checked().ledger.onBan('node2')).toThrow('bans node2, which is honest');
  });
});

describe('guests that wait', () => {
  function waiting() {
    const { world, run, ledger, ledgerOf } = checked();
    const [host, other] = [world.host('node1'), world.host('node2')];
    const disk = new NodeDisk(world.clock, host, PIECES);
    // Of an agent, the disk uses no more than this; it never answers.
    disk.attach({ ledger, read: () => {} } as unknown as SimNode);
    disk.read([5], { offset: 0, length: 1, thinkMs: 0 }, () => {}, {});
    const holder = { host: other, ledger: ledgerOf('node2') };
    const check = (holders: Holder[] = [holder]) => run.checkDemand(disk, holders, DEMAND_BOUND_MS);
    return { world, run, host, other, holder, check };
  }

  it('are a breach once the bound is over and a holder can be reached', () => {
    const { world, holder, check } = waiting();
    holder.ledger.onDeliver(5, 'good', false);
    world.run(DEMAND_BOUND_MS);
    check();
    world.run(1);
    expect(check).toThrow('has waited 15001 ms for piece 5, held by node2');
  });

  it.each<[string, (rig: ReturnType<typeof waiting>) => void]>([
    ['nobody has the piece', () => {}],
    ['its holder has crashed', ({ world, other }) => world.network.crash(other)],
    ['its holder is frozen', ({ world, other }) => world.network.freeze(other)],
    ['it cannot be reached', ({ world, host, other }) => world.network.partition(host, other)],
    ['the guest is frozen itself', ({ world, host }) => world.network.freeze(host)],
    [
      'the world has just changed',
      ({ world, run }) => {
        run.disturbedAt = world.clock.now;
      },
    ],
  ])('are none while %s', (what, hit) => {
    const rig = waiting();
    if (what !== 'nobody has the piece') rig.holder.ledger.onDeliver(5, 'good', false);
    rig.world.run(DEMAND_BOUND_MS + 1);
    hit(rig);
    rig.check();
  });

  it('are a breach while the origin can be reached, which has everything', () => {
    const { world, other, check } = waiting();
    world.run(DEMAND_BOUND_MS + 1);
    expect(() => check([{ host: other, ledger: undefined }])).toThrow('held by node2');
  });
});

describe('plan of faults', () => {
  it('hits the share it is given, each node once, and other nodes with another seed', () => {
    const faults = [faultOf('crash', { share: 0.3 }), faultOf('slow', { share: 0.5 })];
    const plan = new FaultPlan(faults, 20, 1);
    const [crashed, slow] = faults.map((fault) => plan.nodesHit(fault));
    expect([crashed.length, slow.length]).toEqual([6, 10]);
    expect(new Set([...crashed, ...slow]).size).toBe(16);
    expect(new FaultPlan(faults, 20, 2).nodesHit(faults[0])).not.toEqual(crashed);
  });

  it('counts as gone for good what does not come back', () => {
    const isLive = (kind: Parameters<typeof faultOf>[0], given = {}) =>
      new FaultPlan([faultOf(kind, { share: 1, ...given })], 1, 1).isLive(0);
    expect((['dead', 'crash', 'vanish', 'freeze'] as const).map((kind) => isLive(kind))).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(isLive('freeze', { forMs: 5 })).toBe(true);
    expect(isLive('restart')).toBe(true);
    expect(isLive('partition', { forMs: Infinity })).toBe(false);
  });

  it('refuses to hit more nodes than there are', () => {
    expect(
      () =>
        new FaultPlan([faultOf('slow', { share: 0.6 }), faultOf('crash', { share: 0.6 })], 10, 1),
    ).toThrow('more than all 10 nodes');
  });
});
