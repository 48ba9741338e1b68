import { Bitfield, Random } from '@bootswarm/stdx';
import {
  MemberDirectory,
  type PeerIdentity,
  type PeerMessage,
  type SwarmEffect,
  SwarmEngine,
  type SwarmInput,
} from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';

const PIECES = 12;
const PIECE_LENGTH = 65_536;
type Input = SwarmInput<string>;

const pieceIndex = fc.nat(PIECES - 1);
const pieceClass = fc.constantFrom('demand', 'boot-order', 'fill');
const block = { pieceIndex, offset: fc.constant(0), length: fc.constant(PIECE_LENGTH) };
const message: fc.Arbitrary<PeerMessage<string>> = fc.oneof(
  fc.constantFrom<PeerMessage<string>>(
    { type: 'choke' },
    { type: 'unchoke' },
    { type: 'interested' },
    { type: 'not-interested' },
    { type: 'have-all' },
    { type: 'have-none' },
    { type: 'ping', padding: 0 },
    { type: 'ping', padding: 16_384 },
    { type: 'pong', bytesPerMs: 0 },
    { type: 'pong', bytesPerMs: 1 },
    { type: 'pong', bytesPerMs: 1e9 },
    { type: 'busy' },
  ),
  fc.record({ type: fc.constant('have'), pieceIndexes: fc.array(pieceIndex, { maxLength: 5 }) }),
  fc.array(pieceIndex).map((indexes) => {
    const bitfield = new Bitfield(PIECES);
    for (const index of indexes) bitfield.set(index);
    return { type: 'bitfield', bitfield } as const;
  }),
  fc.record({ type: fc.constant('request'), ...block, pieceClass }),
  fc.record({ type: fc.constant('request'), ...block, pieceClass, failedLease: fc.nat(3) }),
  fc.record({
    type: fc.constant('redirect'),
    pieceIndex,
    lease: fc.nat(3),
    node: fc.constantFrom('a', 'b', 'self', 'nobody'),
  }),
  fc.record({ type: fc.constant('priority'), pieceIndex, pieceClass }),
  fc.record({ type: fc.constant('cancel'), ...block }),
  fc.record({ type: fc.constant('reject'), ...block }),
  fc.record({ type: fc.constant('piece'), ...block, payload: fc.constant('bytes') }),
) as fc.Arbitrary<PeerMessage<string>>;

type Step =
  | { readonly do: 'message'; readonly peer: number; readonly message: PeerMessage<string> }
  | { readonly do: 'connect'; readonly who: number }
  | { readonly do: 'disconnect' | 'congest' | 'drain'; readonly peer: number }
  | { readonly do: 'demand' | 'over' | 'lose' | 'prefetch'; readonly pieceIndex: number }
  | { readonly do: 'outcome'; readonly nth: number; readonly isGood: boolean }
  | { readonly do: 'later'; readonly ms: number }
  | { readonly do: 'fill'; readonly enabled: boolean };

const peer = fc.nat(7);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('message' as const), peer, message }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const), who: fc.nat(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('disconnect' as const, 'congest', 'drain'), peer }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('demand' as const, 'over', 'lose', 'prefetch'),
      pieceIndex,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('outcome' as const),
      nth: fc.nat(3),
      isGood: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('later' as const), ms: fc.nat(40_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fill' as const), enabled: fc.boolean() }) },
);

const IDENTITIES: readonly PeerIdentity[] = [
  { kind: 'ours', node: 'a', zone: '', rack: '', isOrigin: false },
  { kind: 'ours', node: 'b', zone: '', rack: '', isOrigin: false },
  { kind: 'ours', node: 'self', zone: '', rack: '', isOrigin: false },
  { kind: 'ours', node: 'origin', zone: '', rack: '', isOrigin: true },
  { kind: 'foreign', client: 'x', requestsInFlightMax: 4 },
];
const MEMBERS = ['a', 'self', 'b', 'c'].map((node, place) => ({
  ...{ node, zone: '', rack: '', place, host: node, port: 1 },
}));

/** Drives one engine as a driver would, with effects' outcomes in any order and any verdict. */
class Rig {
  readonly engine = new SwarmEngine<string>({
    shape: { pieceCount: PIECES, pieceLength: PIECE_LENGTH, length: PIECES * PIECE_LENGTH },
    node: 'self',
    isOrigin: false,
    have: new Bitfield(PIECES),
    random: new Random(1),
  });
  /** Pieces a guest waits for: demanded, not over, not delivered since. */
  readonly waiting = new Set<number>();
  readonly #pending: SwarmEffect<string>[] = [];
  readonly #peers: number[] = [];
  #now = 0;
  #nextPeer = 1;

  take(step: Step): void {
    const peer =
      'peer' in step ? this.#peers[step.peer % Math.max(1, this.#peers.length)] : undefined;
    switch (step.do) {
      case 'message':
        if (peer !== undefined) this.#input({ type: 'message', peer, message: step.message });
        break;
      case 'connect': {
        const id = this.#nextPeer++;
        this.#peers.push(id);
        const identity = IDENTITIES[step.who];
        this.#input({ type: 'peer-connected', peer: id, identity, dialled: undefined });
        break;
      }
      case 'disconnect':
        if (peer !== undefined) this.#gone(peer);
        break;
      case 'congest':
        if (peer !== undefined) this.#input({ type: 'peer-congested', peer });
        break;
      case 'drain':
        if (peer !== undefined) this.#input({ type: 'peer-drained', peer });
        break;
      case 'demand':
        if (this.engine.snapshot().have.has(step.pieceIndex)) break;
        this.waiting.add(step.pieceIndex);
        this.#input({ type: 'demand', pieceIndex: step.pieceIndex });
        break;
      case 'over':
        this.waiting.delete(step.pieceIndex);
        this.#input({ type: 'demand-over', pieceIndex: step.pieceIndex });
        break;
      case 'lose':
        this.#input({ type: 'lost', pieceIndex: step.pieceIndex });
        break;
      case 'prefetch':
        this.#input({ type: 'prefetch', pieceIndexes: [step.pieceIndex] });
        break;
      case 'fill':
        this.#input({ type: 'fill', enabled: step.enabled });
        break;
      case 'outcome':
        this.#outcome(step.nth, step.isGood);
        break;
      case 'later':
        this.#now += step.ms;
        if (this.engine.timeout() <= this.#now) this.#input({ type: 'wake' });
        break;
    }
  }

  start(): void {
    this.#input({
      type: 'members',
      members: new MemberDirectory(MEMBERS),
      origins: [{ host: 'origin', port: 1 }],
    });
  }

  /** Every outcome still to come, all of them good; every read that is demanded can then be answered by an origin. */
  settle(): void {
    this.take({ do: 'connect', who: 3 });
    const origin = this.#peers[this.#peers.length - 1];
    for (let round = 0; round < 4_000 && this.waiting.size > 0; round += 1) {
      this.#input({ type: 'message', peer: origin, message: { type: 'unchoke' } });
      while (this.#pending.length > 0) this.#outcome(0, true, origin);
      this.#now += 100;
      this.#input({ type: 'wake' });
    }
  }

  #input(input: Input): void {
    this.engine.handle(input, this.#now);
    for (let effect = this.engine.poll(); effect !== undefined; effect = this.engine.poll()) {
      if (effect.type === 'deliver') this.waiting.delete(effect.pieceIndex);
      if (effect.type === 'disconnect') this.#gone(effect.peer);
      else this.#pending.push(effect);
    }
  }

  #gone(peer: number): void {
    const index = this.#peers.indexOf(peer);
    if (index >= 0) this.#peers.splice(index, 1);
    this.#input({ type: 'peer-disconnected', peer });
  }

  #outcome(nth: number, isGood: boolean, answering?: number): void {
    const [effect] = this.#pending.splice(nth % Math.max(1, this.#pending.length), 1);
    if (effect === undefined) return;
    const { pieceIndex } = effect as { pieceIndex: number };
    switch (effect.type) {
      case 'verify':
        return this.#input({ type: 'verified', pieceIndex, peer: effect.peer, isGood });
      case 'deliver':
        this.#input({ type: 'stored', pieceIndex, isKept: isGood });
        // What is kept can be read.
        if (isGood) this.waiting.delete(pieceIndex);
        return;
      case 'dial':
        return this.#input({ type: 'dial-failed', key: effect.key });
      case 'upload':
        return this.#input({ ...effect, type: 'uploaded', isSent: isGood });
      case 'send':
        if (effect.peer === answering && effect.message.type === 'request') {
          const { offset, length, pieceIndex: asked } = effect.message;
          const message = {
            type: 'piece',
            pieceIndex: asked,
            offset,
            length,
            payload: 'p',
          } as const;
          this.#input({ type: 'message', peer: effect.peer, message });
        }
    }
  }
}

test('no order of messages, verdicts, losses and pauses breaks an assertion or leaves a read without an answer', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const rig = new Rig();
      rig.start();
      for (const each of steps) rig.take(each);
      rig.settle();
      expect([...rig.waiting]).toEqual([]);
      expect(rig.engine.snapshot().demandsOpen).toBe(0);
    }),
    { numRuns: 1_000 },
  );
});
