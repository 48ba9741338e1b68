import { BufferPool } from '@bootswarm/stdx';
import { PIECE_CLASSES, type PieceClass } from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Egress, type QueuedPiece } from '../src/egress.ts';

const LIMITS = {
  queuedBytesHigh: 100,
  queuedBytesLow: 40,
  queuedBytesSlack: 50,
  writeBatchBytes: 30,
};

/** An egress whose socket takes a batch when it is told to. */
class Rig {
  readonly batches: string[] = [];
  drains = 0;
  overflows = 0;
  readonly egress: Egress;
  #deferred: (() => void)[] = [];
  #written: (() => void) | undefined;

  constructor() {
    this.egress = new Egress(LIMITS, {
      write: (chunks, written) => {
        expect(this.#written).toBeUndefined();
        this.batches.push(Buffer.concat(chunks).toString());
        this.#written = written;
      },
      defer: (task) => this.#deferred.push(task),
      onDrain: () => {
        this.drains += 1;
      },
      onOverflow: () => {
        this.overflows += 1;
      },
    });
  }

  push(text: string): void {
    this.egress.push(Buffer.from(text));
  }

  /** A piece of `count` times one character. */
  piece(text: string, count: number, pieceClass: PieceClass): QueuedPiece {
    const payload = Buffer.from(text.repeat(count));
    const encode = () => this.egress.push(payload);
    const piece = { byteLength: count, pieceClass, encode };
    this.egress.pushPiece(piece);
    return piece;
  }

  /** Ends the turn. */
  turn(): void {
    for (const task of this.#deferred.splice(0)) task();
  }

  /** The kernel takes the batch that was written. */
  take(): void {
    const written = this.#written;
    this.#written = undefined;
    written?.();
  }

  drainAll(): string {
    this.turn();
    while (this.egress.isWriting) this.take();
    return this.batches.join('');
  }
}

describe('Egress', () => {
  it('writes what was sent in one turn as one batch', () => {
    const rig = new Rig();
    rig.push('ab');
    rig.push('cd');
    expect(rig.batches).toEqual([]);
    rig.turn();
    expect(rig.batches).toEqual(['abcd']);
  });

  it('hands over no more than a batch until the kernel has it', () => {
    const rig = new Rig();
    rig.push('a'.repeat(70));
    rig.turn();
    rig.push('b');
    rig.turn();
    expect(rig.batches).toEqual(['a'.repeat(30)]);
    rig.take();
    rig.take();
    expect(rig.batches.slice(1)).toEqual(['a'.repeat(30), `${'a'.repeat(10)}b`]);
  });

  it('counts bytes until the kernel has them', () => {
    const rig = new Rig();
    rig.push('a'.repeat(20));
    rig.piece('p', 20, 'fill');
    rig.turn();
    expect(rig.egress).toMatchObject({ queuedBytes: 40, bytesWritten: 0 });
    rig.take();
    expect(rig.egress).toMatchObject({ queuedBytes: 10, bytesWritten: 30 });
    rig.take();
    expect(rig.egress).toMatchObject({ queuedBytes: 0, bytesWritten: 40, isWriting: false });
  });

  it('sends pieces by class, and in the order they came within a class', () => {
    const rig = new Rig();
    rig.piece('f', 1, 'fill');
    rig.piece('b', 1, 'boot-order');
    rig.piece('d', 1, 'demand');
    rig.piece('e', 1, 'demand');
    rig.push('c');
    expect(rig.drainAll()).toBe('cdebf');
  });

  it('puts nothing between the bytes of a piece that has begun', () => {
    const rig = new Rig();
    rig.piece('f', 70, 'fill');
    rig.turn();
    rig.piece('d', 5, 'demand');
    rig.push('c');
    expect(rig.drainAll()).toBe(`${'f'.repeat(70)}cddddd`);
  });

  it('drops a piece that is removed in time', () => {
    const rig = new Rig();
    const piece = rig.piece('f', 50, 'fill');
    rig.piece('g', 1, 'fill');
    rig.egress.removePiece(piece);
    expect(rig.egress.queuedBytes).toBe(1);
    expect(rig.drainAll()).toBe('g');
  });

  it('is congested from the high mark to the low mark, and says once when that is over', () => {
    const rig = new Rig();
    rig.piece('f', 101, 'fill');
    rig.turn();
    rig.take();
    rig.take();
    expect(rig.egress).toMatchObject({ isCongested: true, queuedBytes: 41 });
    expect(rig.drains).toBe(0);
    rig.take();
    expect(rig.egress).toMatchObject({ isCongested: false, queuedBytes: 11 });
    rig.take();
    expect(rig.drains).toBe(1);
  });

  it('says that congestion is over also when the queue was dropped', () => {
    const rig = new Rig();
    rig.egress.removePiece(rig.piece('f', 101, 'fill'));
    expect(rig.drains).toBe(0);
    rig.turn();
    expect(rig.drains).toBe(1);
  });

  it('gives a buffer back when the kernel has all of it, and not before', () => {
    const rig = new Rig();
    const pool = new BufferPool(50, 2);
    const message = pool.take().fill(0x6d);
    rig.egress.push(message, pool);
    rig.push('c');
    rig.turn();
    rig.take();
    expect(pool.spareCount).toBe(0);
    rig.take();
    expect(pool.take()).toBe(message);
    expect(rig.drainAll()).toBe(`${'m'.repeat(50)}c`);
  });

  it('overflows beyond the high mark, the slack and one piece', () => {
    const rig = new Rig();
    rig.egress.reserveForPiece(10);
    rig.push('a'.repeat(160));
    expect(rig.overflows).toBe(0);
    rig.push('a');
    expect(rig.overflows).toBe(1);
  });

  it('sends every byte once, and each message whole, whatever is queued when', () => {
    const step = fc.oneof(
      fc.record({ control: fc.nat({ max: 3 }) }),
      fc.record({
        count: fc.integer({ min: 1, max: 20 }),
        pieceClass: fc.constantFrom(...PIECE_CLASSES),
      }),
      fc.constantFrom('turn' as const, 'take' as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const rig = new Rig();
        const expected: string[] = [];
        for (const [at, each] of steps.entries()) {
          // A message is a run of one character, different from that of its neighbours.
          const text = String.fromCharCode(0x100 + at);
          if (each === 'turn') rig.turn();
          else if (each === 'take') rig.take();
          else if ('control' in each) rig.push(text.repeat(each.control));
          else rig.piece(text, each.count, each.pieceClass);
          if (typeof each !== 'string')
            expected.push(text.repeat('count' in each ? each.count : each.control));
        }
        const runs = rig.drainAll().match(/(.)\1*/gu) ?? [];
        expect([...runs].sort()).toEqual(expected.filter((run) => run !== '').sort());
      }),
    );
  });
});
