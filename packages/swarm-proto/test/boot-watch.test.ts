import { Bitfield } from '@bootswarm/stdx';
import { beforeEach, expect, test } from 'vitest';
import { type BootEffect, BootWatch, TouchBudget } from '../src/index.ts';

const PIECES = 2_000;
const ORDER = Uint32Array.from({ length: 600 }, (_, rank) => rank);

let have: Bitfield;
let watch: BootWatch;

beforeEach(() => {
  have = new Bitfield(PIECES);
  watch = new BootWatch(PIECES, have);
});

function effects(now: number): BootEffect[] {
  const all: BootEffect[] = [];
  for (let next = watch.poll(now); next !== undefined; next = watch.poll(now)) all.push(next);
  return all;
}

test('boots are numbered, and told of by number', () => {
  const [one, two] = [watch.open(), watch.open()];
  two.touch(7, 0);
  one.touch(5, 0);
  watch.ended();
  const told = { type: 'touched', isOver: false };
  expect(effects(50)).toEqual([
    { ...told, boot: 1, pieceIndexes: Uint32Array.of(5) },
    { ...told, boot: 2, pieceIndexes: Uint32Array.of(7) },
  ]);
  expect(watch.timeout()).toBe(5_000);
});

test('a node with many VMs says at most eight things in 50 ms, and the rest later', () => {
  for (let vm = 0; vm < 20; vm += 1) watch.open().touch(vm, 0);
  expect(effects(50).length).toBe(8);
  expect(watch.timeout()).toBe(100);
  expect([effects(99).length, effects(100).length, effects(150).length]).toEqual([0, 8, 4]);
});

test('images of one node share what may be said, so that the tracker does not close its connection', () => {
  const budget = new TouchBudget();
  const watches = [0, 1, 2].map(() => new BootWatch(PIECES, have, budget));
  for (const each of watches) for (let vm = 0; vm < 8; vm += 1) each.open().touch(vm, 0);
  const said = (now: number) => {
    let count = 0;
    for (const each of watches) while (each.poll(now) !== undefined) count += 1;
    return count;
  };
  expect([said(50), said(99), said(100), said(150), said(200)]).toEqual([8, 0, 8, 8, 0]);
});

test('a guest that touches what an order begins with makes the node fetch on, as pieces come', () => {
  expect(watch.applyOrder(1, true, [{ kind: 1, from: 0, pieceIndexes: ORDER }])).toBe(true);
  const boot = watch.open();
  expect(effects(0)).toEqual([]);
  for (let pieceIndex = 0; pieceIndex < 200; pieceIndex += 1) {
    boot.touch(pieceIndex, 0);
    have.set(pieceIndex);
  }
  watch.ended();
  const [first] = effects(0);
  expect(first).toEqual({ type: 'prefetch', pieceIndexes: [...ORDER.slice(200, 456)] });
  have.set(200);
  expect(watch.stored()).toBe(true);
  expect(effects(0)).toEqual([{ type: 'prefetch', pieceIndexes: [456] }]);
});

test('with a join all is told and learned anew', () => {
  watch.applyOrder(7, true, [{ kind: 1, from: 0, pieceIndexes: ORDER }]);
  watch.open().touch(1_500, 0);
  expect(effects(50).map(({ type }) => type)).toEqual(['prefetch', 'touched']);
  watch.rejoin();
  expect(watch.kinds).toEqual([]);
  expect(watch.applyOrder(8, false, [])).toBe(false);
  expect(effects(100)).toMatchObject([{ type: 'touched', pieceIndexes: Uint32Array.of(1_500) }]);
  expect(watch.applyOrder(1, false, [])).toBe(true);
});

test('a boot that is over and told of is forgotten', () => {
  const boot = watch.open();
  boot.touch(1, 0);
  boot.end();
  watch.ended();
  expect(effects(0)).toMatchObject([{ isOver: true }]);
  expect([watch.timeout(), effects(10_000)]).toEqual([Infinity, []]);
});

test('a guest boots from its first touch until it calms down or goes', () => {
  const [one, two] = [watch.open(), watch.open()];
  expect(watch.booting).toBe(0);
  one.touch(1, 0);
  two.touch(1, 0);
  effects(50);
  expect(watch.booting).toBe(2);
  two.end();
  watch.ended();
  effects(60);
  expect(watch.booting).toBe(1);
  effects(5_050);
  expect(watch.booting).toBe(0);
});
