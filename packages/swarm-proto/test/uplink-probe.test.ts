import { Bitfield, Random } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../src/limits.ts';
import { Peer } from '../src/peer.ts';
import type { PeerIdentity } from '../src/peer-message.ts';
import { SwarmState } from '../src/swarm-state.ts';
import { TokenBucket } from '../src/token-bucket.ts';
import { UplinkProbe } from '../src/uplink-probe.ts';

const PADDING = 16_384;
const FAST = 100_000;
const SLOW = 1_000;

/** How a neighbour answers a pair of pings; undefined: not at all. */
interface Answer {
  /** From the bare ping to its answer, and from that to the answer of the padded one. */
  readonly bareMs: number;
  readonly paddedMs: number;
  /** What it says of its own uplink. */
  readonly says: number;
}

type Answers = (peer: Peer, nth: number) => Answer | undefined;

/** As measured over an idle uplink of this rate. */
function over(bytesPerMs: number, says: number): Answers {
  return () => ({ bareMs: 0.2, paddedMs: PADDING / bytesPerMs, says });
}

/** A probe with neighbours that answer by the script. */
class Rig {
  now = 0;
  readonly state = new SwarmState<never>({
    ...{ shape: { pieceCount: 1, pieceLength: 65_536, length: 65_536 }, node: 'self' },
    ...{ isOrigin: false, have: new Bitfield(1), limits: DEFAULT_LIMITS, random: new Random(1) },
    uploadBudget: new TokenBucket(Infinity, Infinity),
  });
  /** What came of it, and when. */
  readonly log: string[] = [];
  /** Those asked, pair by pair. */
  readonly asked: string[] = [];
  isWorking = false;
  placesApart = (_peer: Peer): number => 0;
  readonly probe = new UplinkProbe(this.state, {
    isWorking: () => this.isWorking,
    isNear: (peer) => peer.zone === 'z',
    placesApart: (peer) => this.placesApart(peer),
    onSlow: (until) => this.log.push(`slow until ${until.toFixed(0)}`),
    onRecovered: () => this.log.push('recovered'),
    onMeasured: () => this.log.push('measured'),
  });
  answers: Answers;

  constructor(neighbours: number, answers: Answers) {
    this.answers = answers;
    for (let id = 1; id <= neighbours; id += 1) this.connect(id);
  }

  connect(id: number, zone = 'z', isOrigin = false): Peer {
    const identity = { kind: 'ours', node: `n${id}`, zone, rack: 'r', isOrigin } as const;
    return this.#connect(id, identity);
  }

  connectForeign(id: number): void {
    this.#connect(id, { kind: 'foreign', client: 'x', requestsInFlightMax: 4 });
  }

  #connect(id: number, identity: PeerIdentity): Peer {
    const peer = new Peer(id, identity, undefined, 1, DEFAULT_LIMITS);
    this.state.peers.set(id, peer);
    this.probe.onConnected(peer);
    return peer;
  }

  /** Until nothing is due before `until`. */
  run(until: number): this {
    for (;;) {
      this.#answer();
      if (this.probe.wakeAt > until) break;
      this.#advance(this.probe.wakeAt);
      this.probe.wake();
    }
    this.#advance(until);
    return this;
  }

  #advance(now: number): void {
    this.now = Math.max(this.now, now);
    this.state.now = this.now;
  }

  #answer(): void {
    for (let pair = this.#nextPair(); pair !== undefined; pair = this.#nextPair()) {
      const answer = this.answers(pair, this.asked.push(pair.node!) - 1);
      if (answer === undefined) return;
      for (const ms of [answer.bareMs, answer.paddedMs]) {
        this.#advance(this.now + ms);
        pair.pongs += 1;
        this.probe.onPong(pair, pair.pongs, answer.says);
      }
    }
  }

  #nextPair(): Peer | undefined {
    const bare = this.state.poll();
    if (bare === undefined) return undefined;
    const padded = this.state.poll();
    expect(bare).toMatchObject({ type: 'send', message: { type: 'ping', padding: 0 } });
    expect(padded).toMatchObject({ type: 'send', message: { type: 'ping', padding: PADDING } });
    return this.state.peers.get((bare as { peer: number }).peer);
  }
}

describe('the first series', () => {
  test('asks three different neighbours, and tells no more than has been proven', () => {
    const rig = new Rig(5, () => ({ bareMs: 0.3, paddedMs: 0.1, says: FAST })).run(1_000);
    expect(new Set(rig.asked).size).toBe(3);
    expect(rig.asked).toHaveLength(3);
    expect(rig.probe.bytesPerMs).toBe(PADDING / 0.4);
    expect(rig.log).toEqual(['measured']);
  });

  test('says nothing while it knows nothing', () => {
    expect(new Rig(5, over(FAST, FAST)).probe.bytesPerMs).toBe(0);
  });

  test('leaves out the origin, other zones and foreign peers', () => {
    const rig = new Rig(2, over(FAST, FAST));
    rig.connect(3, 'elsewhere');
    rig.connect(4, 'z', true);
    rig.connectForeign(5);
    rig.run(1_000);
    expect([...rig.asked].sort()).toEqual(['n1', 'n1', 'n2']);
  });

  test('asks those first whose places are farthest from ours: who joined with us is likely to be as slow', () => {
    const rig = new Rig(12, over(SLOW, FAST));
    rig.placesApart = ({ id }) => [3, 9, 6].indexOf(id) + 1;
    rig.run(1_000);
    expect(rig.asked.slice(0, 3)).toEqual(['n6', 'n9', 'n3']);
  });

  test('waits for a second neighbour, as one may be wrong', () => {
    const rig = new Rig(1, over(SLOW, FAST)).run(1_000);
    expect(rig.asked).toEqual([]);
    rig.connect(2);
    rig.run(1_500);
    expect(rig.log).toEqual(['slow until 12070', 'measured']);
  });
});

describe('a node', () => {
  test('is slow when three neighbours say that they are far faster', () => {
    const rig = new Rig(5, over(SLOW, FAST)).run(1_000);
    expect(new Set(rig.asked).size).toBe(3);
    expect(rig.log).toEqual(['slow until 11070', 'measured']);
    expect(rig.probe.bytesPerMs).toBeLessThanOrEqual(SLOW);
  });

  test.each([
    ['where all are slow', over(SLOW, SLOW)],
    ['where the others have up to four times its uplink', over(SLOW, 4 * SLOW)],
    ['where the others do not know theirs yet', over(SLOW, 0)],
    [
      'that is far away from all others',
      () => ({ bareMs: 80, paddedMs: PADDING / FAST, says: FAST }),
    ],
    [
      'whose event loop, or a neighbour’s, was busy between two answers, twice',
      (_: Peer, nth: number) => ({ bareMs: 0.3, paddedMs: nth < 2 ? 40 : 0.2, says: FAST }),
    ],
    [
      'that three busy neighbours answered late, after one has shown how fast it is',
      (_: Peer, nth: number) => ({ bareMs: 0.3, paddedMs: [40, 0.2][nth] ?? 40, says: FAST }),
    ],
  ] as [string, Answers][])('%s is not slow', (_, answers) => {
    const rig = new Rig(8, answers).run(1_000);
    expect(new Set(rig.log)).toEqual(new Set(['measured']));
  });

  test('is found slow although two pairs were answered together, and two neighbours are slow too', () => {
    const odd: Answers = (_, nth) => {
      if (nth === 1 || nth === 2) return { bareMs: 16.4, paddedMs: 0, says: FAST };
      return { bareMs: 0.2, paddedMs: PADDING / SLOW, says: nth === 3 || nth === 4 ? SLOW : FAST };
    };
    const rig = new Rig(9, odd).run(1_000);
    expect(rig.asked).toHaveLength(7);
    expect(rig.log[0]).toMatch(/^slow/);
  });

  test('of two neighbours is slow when both are faster, not when one is', () => {
    expect(new Rig(2, over(SLOW, FAST)).run(1_000).log[0]).toMatch(/^slow/);
    const differing: Answers = (peer, nth) =>
      over(SLOW, peer.node === 'n1' ? FAST : SLOW)(peer, nth);
    expect(new Rig(2, differing).run(1_000).log).toEqual(['measured']);
  });

  test('lets no piece go while it measures, for 100 ms at most', () => {
    const rig = new Rig(4, () => undefined).run(20);
    expect(rig.state.uploadsHeldUntil).toBe(120);
    rig.answers = over(FAST, FAST);
    rig.run(2_100);
    expect(rig.state.uploadsHeldUntil).toBe(0);
  });
});

describe('a neighbour that does not answer', () => {
  test('is given up after 2 s, and twelve in all', () => {
    const rig = new Rig(5, () => undefined).run(2_019);
    expect(rig.asked).toHaveLength(1);
    rig.run(60_000);
    expect(rig.asked).toHaveLength(12);
    expect(rig.log).toEqual(['measured']);
    expect(rig.probe.bytesPerMs).toBe(0);
  });

  test('as its wire is gone, is followed by the next at once', () => {
    const rig = new Rig(3, () => undefined).run(20);
    rig.answers = over(FAST, FAST);
    const gone = [...rig.state.peers.values()].find(({ node }) => node === rig.asked[0])!;
    rig.state.peers.delete(gone.id);
    rig.probe.onGone(gone);
    rig.run(40);
    expect(rig.log).toEqual(['measured']);
    expect(rig.asked.slice(1)).not.toContain(gone.node);
  });
});

describe('another series', () => {
  test('comes after ten minutes', () => {
    const rig = new Rig(3, over(FAST, FAST)).run(599_000);
    expect(rig.asked).toHaveLength(3);
    rig.run(601_000);
    expect(rig.asked).toHaveLength(6);
  });

  test('comes soon when the neighbours could not say how fast they are, as all had just joined', () => {
    const rig = new Rig(3, over(SLOW, 0)).run(200);
    expect(rig.log).toEqual(['measured']);
    rig.answers = over(SLOW, FAST);
    rig.run(500);
    expect(rig.log[1]).toMatch(/^slow until/);
  });

  test('comes ever more seldom while they never can say', () => {
    const rig = new Rig(3, over(FAST, 0)).run(600_000);
    // 250 ms, 500 ms, … 512 s: twelve pauses.
    expect(rig.asked.length).toBeLessThanOrEqual(3 * 13);
    expect(rig.log.every((each) => each === 'measured')).toBe(true);
  });

  test('waits for the end of work, as the first one does', () => {
    const rig = new Rig(3, over(FAST, FAST));
    rig.isWorking = true;
    rig.run(10_000);
    expect(rig.asked).toHaveLength(0);
    rig.isWorking = false;
    rig.run(12_000);
    expect(rig.asked).toHaveLength(3);
  });

  test('comes 10 s later on a slow node, then 20 s, until it is slow no more', () => {
    const rig = new Rig(3, over(SLOW, FAST)).run(10_000);
    expect(rig.asked).toHaveLength(3);
    rig.run(11_000);
    expect(rig.asked).toHaveLength(6);
    rig.answers = over(FAST, FAST);
    rig.run(30_000);
    expect(rig.log).toHaveLength(4);
    rig.run(31_000);
    expect(rig.log.slice(4)).toEqual(['recovered', 'measured']);
  });
});

test('whatever neighbours answer, a series ends after at most twelve pairs', () => {
  const ms = fc.double({ min: 0, max: 3_000, noNaN: true });
  const answer = fc.record({ bareMs: ms, paddedMs: ms, says: fc.nat(0xffff_ffff) });
  const script = fc.array(fc.option(answer, { nil: undefined }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20 }), script, (neighbours, answers) => {
      const rig = new Rig(neighbours, (_, nth) => answers[nth % answers.length]);
      while (!rig.log.includes('measured')) rig.run(Math.max(rig.now, rig.probe.wakeAt));
      expect(rig.asked.length).toBeLessThanOrEqual(12);
    }),
  );
});
