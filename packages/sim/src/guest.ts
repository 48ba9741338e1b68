/** A VM that boots: issues the reads of a trace one after another, each after its think time. Counts how long reads stalled. */
import type { TracePieces, TraceRead } from './boot-trace.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Where a guest's reads go: a node's engine, or a storage server. */
export interface GuestDisk {
  /** Calls `done` when the range, or every piece of the list, is here; at once, within the call, when it is at hand. */
  read(pieces: readonly number[], range: TraceRead, done: () => void, guest: object): void;
}

export interface GuestOptions {
  readonly node: number;
  readonly clock: VirtualClock;
  readonly disk: GuestDisk;
  readonly reads: readonly TraceRead[];
  readonly pieces: TracePieces;
  /** Think times are multiplied by this. */
  readonly thinkScale: number;
  readonly startAt: number;
  /** From the disk's answer to the guest's next step, for a read that was at hand. */
  readonly readMs: number;
  readonly onReady: (guest: object) => void;
}

export class Guest {
  readonly #options: GuestOptions;
  #next = 0;
  #askedAt = 0;
  /** When it had read everything; undefined while it boots. */
  readyAt: number | undefined;
  /** One entry per read that was not at hand. */
  readonly stallsMs: number[] = [];

  constructor(options: GuestOptions) {
    this.#options = options;
    options.clock.at(options.startAt, () => this.#think(0));
  }

  get node(): number {
    return this.#options.node;
  }

  get startAt(): number {
    return this.#options.startAt;
  }

  /** After `readMs` it has what it read, and thinks. */
  #think(readMs: number): void {
    const { clock, reads, thinkScale } = this.#options;
    if (this.#next === reads.length) {
      clock.after(readMs, this.#ready);
      return;
    }
    const thinkMs = reads[this.#next].thinkMs * thinkScale;
    clock.at(clock.now + readMs + thinkMs, this.#read);
  }

  readonly #read = (): void => {
    const { clock, disk, pieces, reads } = this.#options;
    this.#askedAt = clock.now;
    disk.read(pieces.perRead[this.#next], reads[this.#next], this.#answered, this);
  };

  readonly #answered = (): void => {
    const { clock, readMs } = this.#options;
    const stallMs = clock.now - this.#askedAt;
    if (stallMs > 0) this.stallsMs.push(stallMs);
    this.#next += 1;
    this.#think(readMs);
  };

  readonly #ready = (): void => {
    this.readyAt = this.#options.clock.now;
    this.#options.onReady(this);
  };
}
