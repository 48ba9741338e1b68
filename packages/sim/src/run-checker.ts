/**
 * Judges a run while it happens, and hashes what happened. Each node's ledger judges that node; here is what concerns all of
 * them: no honest peer is left as a liar, no guest waits for what it could get. A breach ends the run and names seed and
 * virtual time, so that the run can be replayed up to it.
 */
import { AssertionError, Bitfield } from '@bootswarm/stdx';
import { EventLog } from './event-log.ts';
import type { Host } from './network.ts';
import type { NodeDisk } from './node-disk.ts';
import type { NodeLedger } from './node-ledger.ts';
import type { VirtualClock } from './virtual-clock.ts';

/**
 * In which a guest's read is answered while a holder of its pieces can be reached, beside the time it takes to move all that is
 * needed: a dial that comes to nothing (5 s), a peer that is silent (3 s) and a late one (2 s) in a row, and half as much again.
 */
export const DEMAND_BOUND_MS = 15_000;

/** Who may give pieces to whom, as the demand check sees it. */
export interface Holder {
  readonly host: Host;
  /** Undefined: has every piece. */
  readonly ledger: NodeLedger | undefined;
}

export interface RunCheckerOptions {
  readonly clock: VirtualClock;
  readonly seed: number;
  readonly pieceCount: number;
  readonly poisoners: ReadonlySet<string>;
  /** Default: one of its own. */
  readonly log?: EventLog;
}

export class RunChecker {
  readonly #options: RunCheckerOptions;
  readonly #clock: VirtualClock;
  readonly #log: EventLog;
  /** Pieces that some node has got. */
  readonly spread: Bitfield;
  bans = 0;
  /** When the network or a host last changed for the better or the worse. */
  disturbedAt = 0;

  constructor(options: RunCheckerOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#log = options.log ?? new EventLog(options.clock);
    this.spread = new Bitfield(options.pieceCount);
  }

  /** Of another swarm of the same nodes: pieces are its own, the log is one. */
  ofSwarm(pieceCount: number): RunChecker {
    return new RunChecker({ ...this.#options, pieceCount, log: this.#log });
  }

  /** Of every delivery, upload and ban. */
  get logHash(): string {
    return this.#log.hash;
  }

  /** Ends the run unless `isKept`. */
  check(isKept: boolean, node: { readonly name: string }, breach: string): void {
    if (isKept) return;
    const at = this.#clock.now.toFixed(3);
    throw new AssertionError(`seed ${this.#options.seed}, at ${at} ms: ${node.name} ${breach}`);
  }

  onDeliver(node: NodeLedger, pieceIndex: number, isFromOrigin: boolean): void {
    this.spread.set(pieceIndex);
    this.log(node.name, pieceIndex, isFromOrigin ? 1 : 2);
  }

  onUpload(node: NodeLedger, pieceIndex: number): void {
    this.log(node.name, pieceIndex, 3);
  }

  onBan(node: NodeLedger, peerNode: string): void {
    this.check(this.#options.poisoners.has(peerNode), node, `bans ${peerNode}, which is honest`);
    this.bans += 1;
    this.log(node.name, 0, 4);
  }

  /** No read of this disk has waited for too long, unless nobody could answer it. */
  checkDemand(disk: NodeDisk, holders: readonly Holder[], boundMs: number): void {
    const { host, ledger } = disk;
    if (host.state !== 'up' || host.isFrozen || ledger === undefined) return;
    for (const { pieces, since } of disk.open) {
      const waitedMs = this.#clock.now - Math.max(since, this.disturbedAt);
      if (waitedMs <= boundMs) continue;
      const missing = pieces.find((each) => !ledger.held.has(each))!;
      const holder = holders.find((each) => this.#canGive(each, missing, host));
      const name = holder?.host.name;
      const breach = `has waited ${waitedMs.toFixed(0)} ms for piece ${missing}, held by ${name}`;
      this.check(holder === undefined, disk, breach);
    }
  }

  #canGive({ host, ledger }: Holder, pieceIndex: number, to: Host): boolean {
    if (host === to || host.state !== 'up' || host.isFrozen) return false;
    if (ledger !== undefined && !ledger.held.has(pieceIndex)) return false;
    const { now } = this.#clock;
    const ways = [host.paths.get(to), to.paths.get(host)];
    return ways.every((way) => way === undefined || way.passableAt <= now);
  }

  log(name: string, item: number, kind: number): void {
    this.#log.add(name, item, kind);
  }
}
