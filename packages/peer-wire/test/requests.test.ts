import { PIECE_CLASSES } from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FOREIGN_PIECES_MAX, ForeignRequests } from '../src/foreign-requests.ts';
import { SentRequests } from '../src/sent-requests.ts';

const BLOCK = 16 * 1024;
const PIECE_LENGTH = 4 * BLOCK;

describe('SentRequests', () => {
  it('forgets the oldest cancelled request beyond its limit', () => {
    const sent = new SentRequests(PIECE_LENGTH);
    for (let pieceIndex = 0; pieceIndex <= 1_024; pieceIndex += 1) {
      sent.add(pieceIndex, 0, PIECE_LENGTH);
      sent.cancel(pieceIndex, 0);
    }
    expect(() => sent.admitPiece(0, 0, PIECE_LENGTH)).toThrow('piece-unrequested');
    expect(() => sent.admitPiece(1, 0, PIECE_LENGTH)).not.toThrow();
  });

  it('is not fooled by an offset that reaches into the next piece', () => {
    const sent = new SentRequests(PIECE_LENGTH);
    sent.add(1, 0, PIECE_LENGTH);
    expect(() => sent.admitPiece(0, PIECE_LENGTH, PIECE_LENGTH)).toThrow('piece-unrequested');
  });

  it('takes a reject only for the length that was asked for', () => {
    const sent = new SentRequests(PIECE_LENGTH);
    sent.add(1, 0, PIECE_LENGTH);
    expect(sent.takeReject(1, 0, BLOCK)).toBe('unrequested');
    expect(sent.takeReject(1, 0, PIECE_LENGTH)).toBe('wanted');
  });
});

describe('ForeignRequests', () => {
  it('asks for no more blocks than the peer lets wait, the most urgent piece first', () => {
    const asked: [number, number][] = [];
    const requests = new ForeignRequests(3, {
      ask: (pieceIndex, offset) => asked.push([pieceIndex, offset / BLOCK]) > 0,
      cancel: () => {},
    });
    requests.add(0, PIECE_LENGTH, 'fill');
    requests.add(1, PIECE_LENGTH, 'fill');
    requests.add(2, PIECE_LENGTH, 'demand');
    expect(asked.splice(0)).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
    ]);
    requests.setClass(1, 'boot-order');
    for (const offset of [0, BLOCK, 2 * BLOCK]) requests.onBlock(0, offset, new Uint8Array(BLOCK));
    expect(asked.splice(0)).toEqual([
      [2, 0],
      [2, 1],
      [2, 2],
    ]);
    requests.cancel(2);
    expect(asked).toEqual([
      [1, 0],
      [1, 1],
      [1, 2],
    ]);
  });

  it('takes no more pieces than it has room for', () => {
    const requests = new ForeignRequests(1, { ask: () => true, cancel: () => {} });
    for (let pieceIndex = 0; pieceIndex < FOREIGN_PIECES_MAX; pieceIndex += 1) {
      expect(requests.add(pieceIndex, PIECE_LENGTH, 'fill')).toBe(true);
    }
    expect(requests.add(FOREIGN_PIECES_MAX, PIECE_LENGTH, 'fill')).toBe(false);
  });

  it('takes a late block of a piece that is fetched again, once, and does not ask for it', () => {
    const asked: number[] = [];
    const requests = new ForeignRequests(1, {
      ask: (_, offset) => asked.push(offset / BLOCK) > 0,
      cancel: () => {},
    });
    requests.add(0, PIECE_LENGTH, 'fill');
    expect(requests.onBlock(0, BLOCK, new Uint8Array(BLOCK))).toBeUndefined();
    expect(requests.onBlock(0, BLOCK, new Uint8Array(BLOCK))).toBeUndefined();
    expect(asked).toEqual([0]);
    requests.onBlock(0, 0, new Uint8Array(BLOCK));
    requests.onBlock(0, 2 * BLOCK, new Uint8Array(BLOCK));
    expect(requests.onBlock(0, 3 * BLOCK, new Uint8Array(BLOCK))).toHaveLength(PIECE_LENGTH);
    expect(asked).toEqual([0, 2, 3]);
  });

  it('hands on a block that is the whole piece as it is', () => {
    const requests = new ForeignRequests(1, { ask: () => true, cancel: () => {} });
    requests.add(0, 100, 'fill');
    const block = new Uint8Array(100);
    expect(requests.onBlock(0, 0, block)).toBe(block);
  });

  it('ends each request in one piece or one reject, whatever the peer answers and in what order', () => {
    const step = fc.record({
      what: fc.constantFrom(
        'add',
        'add',
        'piece',
        'piece',
        'piece',
        'piece',
        'reject',
        'cancel',
        'choke',
      ),
      pieceIndex: fc.nat({ max: 5 }),
      pieceClass: fc.constantFrom(...PIECE_CLASSES),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const rig = new ForeignRig();
        for (const each of steps) rig.run(each.what, each.pieceIndex, each.pick);
        rig.answerAll();
        expect(rig.open).toEqual(new Set());
      }),
    );
  });
});

/** ForeignRequests with a peer that answers what it is asked for, and the requests that have not ended. */
class ForeignRig {
  readonly open = new Set<number>();
  readonly #asked: { readonly pieceIndex: number; readonly offset: number }[] = [];
  readonly #requests = new ForeignRequests(5, {
    ask: (pieceIndex, offset, length) => {
      expect(length).toBe(BLOCK);
      this.#asked.push({ pieceIndex, offset });
      expect(this.#asked.length).toBeLessThanOrEqual(5);
      return true;
    },
    cancel: (pieceIndex, offset) => {
      const at = this.#asked.findIndex(
        (block) => block.pieceIndex === pieceIndex && block.offset === offset,
      );
      expect(at).toBeGreaterThanOrEqual(0);
      this.#asked.splice(at, 1);
    },
  });

  run(what: string, pieceIndex: number, pick: number): void {
    if (what === 'add') {
      this.open.add(pieceIndex);
      this.#requests.add(pieceIndex, PIECE_LENGTH, 'fill');
    } else if (what === 'cancel') {
      expect(this.#requests.cancel(pieceIndex)).toBe(this.open.delete(pieceIndex));
    } else if (what === 'choke') {
      this.#asked.length = 0;
      for (const piece of this.#requests.takeAll())
        expect(this.open.delete(piece.pieceIndex)).toBe(true);
    } else if (this.#asked.length > 0) {
      this.#answer(what, pick % this.#asked.length);
    }
  }

  answerAll(): void {
    while (this.#asked.length > 0) this.#answer('piece', 0);
  }

  #answer(what: string, at: number): void {
    const [{ pieceIndex, offset }] = this.#asked.splice(at, 1);
    if (what === 'reject') {
      expect(this.#requests.onReject(pieceIndex, offset)).toBe(PIECE_LENGTH);
      expect(this.open.delete(pieceIndex)).toBe(true);
      return;
    }
    const block = new Uint8Array(BLOCK).fill(pieceIndex * 4 + offset / BLOCK);
    const whole = this.#requests.onBlock(pieceIndex, offset, block);
    if (whole === undefined) return;
    expect([0, 1, 2, 3].map((index) => whole[index * BLOCK] - pieceIndex * 4)).toEqual([
      0, 1, 2, 3,
    ]);
    expect(this.open.delete(pieceIndex)).toBe(true);
  }
}
