/**
 * VMThunder: a binary relay tree in the order in which nodes join, one parent each, whose iSCSI volume a node reads through a
 * block cache that it relays from. Nothing is fetched before a guest reads it, and nothing is known of zeros. A range that two
 * ask for at a time is fetched once, which is kinder than flashcache was.
 */
import { Bitfield } from '@bootswarm/stdx';
import type { GuestDisk } from '../guest.ts';
import { Cpu } from '../sim-costs.ts';
import type { StormWorld } from '../storm-world.ts';
import { BlockInitiator, BlockService } from './block-service.ts';
import type { Policy, PolicyFigures } from './policy.ts';

/** Of flashcache, as VMThunder sets it up. */
const BLOCK_BYTES = 4096;
const CHILDREN = 2;

export class TreePolicy implements Policy {
  readonly #world: StormWorld;
  readonly #target: BlockService;
  readonly #relays = new Map<number, Relay>();
  /** Nodes in the order of joining. */
  readonly #joined: number[] = [];
  readonly #stalls = { peers: 0, origin: 0 };

  constructor(world: StormWorld) {
    this.#world = world;
    this.#target = new BlockService(world, world.origin, new Cpu(), (_offset, _length, done) =>
      done(),
    );
  }

  prepare(): void {
    if (!this.#world.options.isKnownBefore) return;
    for (const node of this.#world.hosts.keys()) this.#join(node);
  }

  begin(node: number): void {
    if (!this.#relays.has(node)) this.#join(node);
  }

  diskOf(node: number): GuestDisk {
    return {
      read: (_pieces, { offset, length }, done) => {
        const relay = this.#relays.get(node)!;
        if (!relay.isCached(offset, length)) {
          this.#stalls[this.#joined[0] === node ? 'origin' : 'peers'] += 1;
        }
        relay.read(offset, length, done);
      },
    };
  }

  figures(): PolicyFigures {
    return {
      originBytes: this.#target.bytesSent,
      stallsBySource: this.#stalls,
      originRequests: { 'tree-root': this.#relays.get(this.#joined[0])?.fetches ?? 0 },
      prefetchedUnusedRatio: 0,
    };
  }

  #join(node: number): void {
    const { hosts, origin } = this.#world;
    const place = this.#joined.push(node) - 1;
    const parent = place === 0 ? origin : hosts[this.#joined[Math.floor((place - 1) / CHILDREN)]];
    this.#relays.set(node, new Relay(this.#world, node, parent));
  }
}

/** One node's cache: reads through to the parent, and is read by children. */
class Relay {
  readonly #cached: Bitfield;
  readonly #parent: BlockInitiator;
  /** By the range that is asked for. */
  readonly #flights = new Map<string, (() => void)[]>();
  fetches = 0;

  constructor(world: StormWorld, node: number, parent: StormWorld['origin']) {
    const cpu = new Cpu();
    this.#cached = new Bitfield(Math.ceil(world.pieces.length / BLOCK_BYTES));
    this.#parent = new BlockInitiator(world, world.hosts[node], parent, cpu);
    new BlockService(world, world.hosts[node], cpu, (offset, length, done) =>
      this.read(offset, length, done),
    );
  }

  isCached(offset: number, length: number): boolean {
    const first = this.#cached.nextClear(Math.floor(offset / BLOCK_BYTES));
    return first < 0 || first * BLOCK_BYTES >= offset + length;
  }

  read(offset: number, length: number, done: () => void): void {
    if (this.isCached(offset, length)) return done();
    const first = this.#cached.nextClear(Math.floor(offset / BLOCK_BYTES));
    const count = Math.ceil((offset + length) / BLOCK_BYTES) - first;
    const key = `${first}+${count}`;
    const flight = this.#flights.get(key);
    if (flight !== undefined) {
      flight.push(done);
      return;
    }
    this.#flights.set(key, [done]);
    this.fetches += 1;
    this.#parent.read(first * BLOCK_BYTES, count * BLOCK_BYTES, () => {
      this.#cached.setRange(first, count);
      const waiting = this.#flights.get(key)!;
      this.#flights.delete(key);
      for (const each of waiting) each();
    });
  }
}
