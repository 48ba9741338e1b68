import { Bitfield } from '@bootswarm/stdx';
import { expect, test } from 'vitest';
import { LoneEngine, PIECE_LENGTH } from './lone-engine.ts';

const PIECE_COUNT = 20_000;
const SEEDER = 1;
/** 64 KiB in half a millisecond: about 1 Gbit/s. */
const PIECE_MS = 0.5;

test('fill goes on, a piece at a time, with the only source that is left although it said it was busy', () => {
  const engine = new LoneEngine(8);
  engine.connectNode(SEEDER, 'seeder');
  engine.hear(SEEDER, { type: 'have-all' });
  engine.handle({ type: 'fill', enabled: true });
  const [first] = engine.asked(SEEDER);
  engine.hear(SEEDER, { type: 'busy' });
  engine.give(SEEDER, first);
  engine.asked(SEEDER);
  engine.pass(1_900);
  expect(engine.asked(SEEDER)).toEqual([]);
  engine.pass(200);
  const again = engine.asked(SEEDER);
  expect(again).toHaveLength(1);
  engine.give(SEEDER, again[0]);
  expect(engine.asked(SEEDER)).toHaveLength(1);
});

test('a node is no bottleneck because one that fills takes its pieces slowly', () => {
  const seeder = new LoneEngine(40);
  seeder.connectNode(1, 'fast');
  seeder.hear(1, { type: 'have-all' });
  seeder.handle({ type: 'fill', enabled: true });
  for (let asked = seeder.asked(1); asked.length > 0; asked = seeder.asked(1)) {
    for (const pieceIndex of asked) {
      seeder.now += PIECE_MS;
      seeder.give(1, pieceIndex);
    }
  }
  seeder.connectNode(2, 'slow');
  for (let pieceIndex = 0; pieceIndex < 40; pieceIndex += 1) {
    const request = { type: 'request', pieceIndex, offset: 0, length: PIECE_LENGTH } as const;
    seeder.hear(2, { ...request, pieceClass: 'fill' });
  }
  seeder.pass(2_000);
  expect(seeder.take(2).filter(({ type }) => type === 'busy')).toEqual([]);
  expect(seeder.suspected).toEqual([]);
});

/** A seeder that answers in the order in which it is asked. */
class FillingNode {
  readonly #engine = new LoneEngine(PIECE_COUNT);
  readonly #had = new Bitfield(PIECE_COUNT);
  readonly #waiting: number[] = [];

  constructor() {
    this.#engine.connectNode(SEEDER, 'seeder');
    this.#engine.hear(SEEDER, { type: 'have-all' });
    this.#engine.handle({ type: 'fill', enabled: true });
    this.#hearRequests();
  }

  get piecesAskedAhead(): number {
    return this.#waiting.length;
  }

  receive(pieces: number): void {
    for (let count = 0; count < pieces; count += 1) {
      this.#engine.now += PIECE_MS;
      const pieceIndex = this.#waiting.shift()!;
      this.#engine.give(SEEDER, pieceIndex);
      this.#had.set(pieceIndex);
      this.#hearRequests();
    }
  }

  guestReads(): void {
    let pieceIndex = 0;
    while (this.#had.has(pieceIndex) || this.#waiting.includes(pieceIndex)) pieceIndex += 1;
    this.#engine.demand(pieceIndex);
    this.#hearRequests();
  }

  #hearRequests(): void {
    this.#waiting.push(...this.#engine.asked(SEEDER));
  }
}

test('fill asks ahead for little while guests read, and for more when they are calm', () => {
  const node = new FillingNode();
  node.receive(2_000);
  const calm = node.piecesAskedAhead;
  for (let read = 0; read < 20; read += 1) {
    node.receive(100);
    node.guestReads();
  }
  node.receive(100);
  const beside = node.piecesAskedAhead;
  // More than a second.
  node.receive(2_100);
  expect([calm, node.piecesAskedAhead]).toEqual([64, 64]);
  // 4 ms.
  expect(beside).toBeLessThanOrEqual(8);
});
