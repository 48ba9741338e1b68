/**
 * What the guests of one node read from: its agent, whichever process that is at the moment. A read that an agent took with it
 * is asked of the next one, as QEMU does when its NBD server comes back. Decides nothing about pieces.
 */
import { Bitfield } from '@bootswarm/stdx';
import type { TraceRead } from './boot-trace.ts';
import type { GuestDisk } from './guest.ts';
import type { Host } from './network.ts';
import type { NodeLedger } from './node-ledger.ts';
import type { SimNode } from './sim-node.ts';
import type { VirtualClock } from './virtual-clock.ts';

interface OpenRead {
  readonly pieces: readonly number[];
  readonly guest: object;
  readonly since: number;
  readonly done: () => void;
}

export class NodeDisk implements GuestDisk {
  readonly host: Host;
  /** Reads that are not answered yet. */
  readonly open = new Set<OpenRead>();
  /** Distinct pieces that guests touched. */
  readonly touched: Bitfield;
  readonly #clock: VirtualClock;
  #node: SimNode | undefined;

  constructor(clock: VirtualClock, host: Host, pieceCount: number) {
    this.#clock = clock;
    this.host = host;
    this.touched = new Bitfield(pieceCount);
  }

  get name(): string {
    return this.host.name;
  }

  /** Of the agent that is up; undefined: none is. */
  get ledger(): NodeLedger | undefined {
    return this.#node?.ledger;
  }

  /** An agent is up, or (undefined) gone. */
  attach(node: SimNode | undefined): void {
    this.#node = node;
    for (const read of [...this.open]) this.#ask(read);
  }

  read(pieces: readonly number[], _range: TraceRead, done: () => void, guest: object): void {
    for (const each of pieces) this.touched.set(each);
    const read = { pieces, guest, since: this.#clock.now, done };
    this.open.add(read);
    // A host that stands still runs no guest either.
    if (this.host.isFrozen) this.host.whenAwake(() => this.#ask(read));
    else this.#ask(read);
  }

  #ask(read: OpenRead): void {
    const node = this.#node;
    node?.read(read.pieces, read.guest, () => {
      // An answer of an agent that has died since, or a second one, is none.
      if (node !== this.#node || !this.open.delete(read)) return;
      node.ledger.onAnswered(read.pieces);
      read.done();
    });
  }
}
