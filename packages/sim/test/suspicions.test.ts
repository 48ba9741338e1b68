import { Bitfield, Random } from '@bootswarm/stdx';
import { DEFAULT_LIMITS } from '@bootswarm/swarm-proto';
import { type AgentMessage, MemberOrder, SIGNALLING_VERSION } from '@bootswarm/tracker-proto';
import { expect, test } from 'vitest';
import { type Host, Network } from '../src/network.ts';
import { NodeLedger } from '../src/node-ledger.ts';
import { RunChecker } from '../src/run-checker.ts';
import { MEASURED_COSTS } from '../src/sim-costs.ts';
import type { SimMessage } from '../src/sim-message.ts';
import { SimNode } from '../src/sim-node.ts';
import { SimProcess } from '../src/sim-process.ts';
import { SimSignal, SimTracker } from '../src/sim-tracker.ts';
import { VirtualClock } from '../src/virtual-clock.ts';
import { KIB, LATENCY_MS, LINE } from './network-world.ts';

const IMAGE = 'ab'.repeat(20);
const PIECES = 8;
const PIECE_LENGTH = 64 * KIB;

/** A tracker, nodes with the real engine, and a member that only looks at the order. */
class Cloud {
  readonly clock = new VirtualClock();
  readonly network = new Network<SimMessage>(this.clock, {
    ...{ latencyMs: LATENCY_MS, betweenZones: Infinity, windowBytes: 1024 * KIB },
  });
  readonly order = new MemberOrder();
  readonly #checker = new RunChecker({
    ...{ clock: this.clock, seed: 1, pieceCount: PIECES, poisoners: new Set<string>() },
  });
  readonly #tracker = new SimTracker({
    ...{ clock: this.clock, network: this.network, host: this.#host('tracker', 'z') },
    ...{ image: IMAGE, pieceCount: PIECES, kinds: [], origins: [], costs: MEASURED_COSTS },
  });

  #host(name: string, zone: string): Host {
    return this.network.addHost({ name, zone, rack: 'r', uplink: LINE, downlink: LINE });
  }

  /** Known to the tracker, and not there. */
  addDead(name: string): void {
    const host = this.#host(name, 'z');
    this.#tracker.putSilent(host);
    this.network.vanish(host);
    this.run(100);
  }

  addNode(name: string, uplinkShare = 1): void {
    const { clock, network } = this;
    const host = this.#host(name, 'z');
    network.setRates(host, host.uplink.rate * uplinkShare, host.downlink.rate);
    const have = new Bitfield(PIECES);
    const ledger = new NodeLedger({
      ...{ name, run: this.#checker, have, pieceLength: PIECE_LENGTH, limits: DEFAULT_LIMITS },
    });
    const shape = { pieceCount: PIECES, pieceLength: PIECE_LENGTH, length: PIECES * PIECE_LENGTH };
    const node = new SimNode({
      ...{ process: new SimProcess(network, host), swarm: 'image', isOpen: true },
      ...{ clock, network, host, name, zone: 'z', rack: 'r', isOrigin: false, shape, have, ledger },
      ...{ random: new Random(1), costs: MEASURED_COSTS, character: 'honest' },
    });
    const tracker = this.#tracker.host;
    new SimSignal({
      ...{ clock, network, tracker, image: IMAGE, node, random: new Random(2) },
      onMembers: (...order) => node.setMembers(...order),
    });
    this.run(100);
  }

  /** In a zone of its own, where it is in nobody's way. */
  addOnlooker(): void {
    const host = this.#host('onlooker', 'elsewhere');
    const names = { node: 'onlooker', zone: 'elsewhere', rack: 'r' };
    const address = { host: 'onlooker', port: 1 };
    const said: AgentMessage[] = [
      { type: 'hello', version: SIGNALLING_VERSION, ...names, address },
      { type: 'join', image: IMAGE, piecesHad: 0 },
    ];
    this.network.dial(host, 'tracker', {
      onOpen: (stream) => {
        for (const message of said) stream.send(message, 100, 0);
      },
      onMessage: (message) => {
        if (message.type === 'members') this.order.apply(message);
      },
      onDrain: () => {},
      onClose: () => {},
    });
    this.run(100);
  }

  run(ms: number): void {
    this.clock.run(this.clock.now + ms, () => false);
  }

  places(): string[] {
    const inZone = this.order.members.filter(({ zone }) => zone === 'z');
    return inZone.sort((a, b) => a.place - b.place).map(({ node }) => node);
  }
}

test('a dead member that nodes dial in vain is moved to the end of the order', () => {
  const cloud = new Cloud();
  cloud.addDead('dead');
  for (const name of ['a', 'b', 'c']) cloud.addNode(name);
  cloud.addOnlooker();
  expect(cloud.places()).toEqual(['dead', 'a', 'b', 'c']);
  // A dial that comes to nothing takes 5 s, and suspicions are heard together for 10 s.
  cloud.run(20_000);
  expect(cloud.places().at(-1)).toBe('dead');
});

test('nodes that dial each other at the same moment suspect nobody', () => {
  const cloud = new Cloud();
  for (const name of ['a', 'b', 'c', 'd']) cloud.addNode(name);
  cloud.addOnlooker();
  cloud.run(20_000);
  expect(cloud.places()).toEqual(['a', 'b', 'c', 'd']);
});

test('a node with a hundredth of the others’ uplink moves itself to the end before anybody reads', () => {
  const cloud = new Cloud();
  cloud.addOnlooker();
  cloud.addNode('slow', 0.01);
  for (const name of ['a', 'b']) cloud.addNode(name);
  cloud.run(1_000);
  expect(cloud.places()).toEqual(['b', 'a', 'slow']);
  // The tracker moves a node once in 30 s, and a node that stays slow looks after 10 s and after 20 s more.
  for (const name of ['c', 'd']) cloud.addNode(name);
  cloud.run(40_000);
  expect(cloud.places()).toEqual(['b', 'a', 'd', 'c', 'slow']);
});

test('nodes that all have as little suspect nobody', () => {
  const cloud = new Cloud();
  for (const name of ['a', 'b', 'c', 'd']) cloud.addNode(name, 0.01);
  cloud.addOnlooker();
  cloud.run(20_000);
  expect(cloud.places()).toEqual(['a', 'b', 'c', 'd']);
});
