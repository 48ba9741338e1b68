import { expect, test } from 'vitest';
import type { PieceClass } from '../src/peer-message.ts';
import { UploadQueue } from '../src/upload-queue.ts';

const MARK = { at: 0, bytesSent: 0 };
const request = (pieceIndex: number, pieceClass: PieceClass, offset = 0) => ({
  pieceIndex,
  offset,
  length: 100,
  pieceClass,
});

test('serves each class in order of arrival', () => {
  const queue = new UploadQueue(10);
  queue.push(request(1, 'fill'), MARK);
  queue.push(request(2, 'demand'), MARK);
  queue.push(request(3, 'boot-order'), MARK);
  queue.push(request(4, 'demand'), MARK);
  const order = [queue.shift('demand'), queue.shift('demand'), queue.shift('fill')];
  expect(order.map((each) => each?.pieceIndex)).toEqual([2, 4, 1]);
  expect(queue.hasReady('demand')).toBe(false);
  expect(queue.hasReady('boot-order')).toBe(true);
});

test('keeps a request open until its piece is here', () => {
  const queue = new UploadQueue(10);
  queue.hold(request(7, 'demand'));
  expect(queue.shift('demand')).toBeUndefined();
  expect(queue.release(7, MARK)).toBe(true);
  expect(queue.shift('demand')?.pieceIndex).toBe(7);
  expect(queue.release(7, MARK)).toBe(false);
});

test('is full at its limit, held requests included', () => {
  const queue = new UploadQueue(2);
  queue.hold(request(1, 'demand'));
  queue.push(request(2, 'fill'), MARK);
  expect(queue.isFull).toBe(true);
});

test('raises a waiting request to another class', () => {
  const queue = new UploadQueue(10);
  queue.push(request(1, 'boot-order'), MARK);
  queue.push(request(2, 'fill'), MARK);
  expect(queue.reclass(2, 'demand')).toBe(false);
  expect(queue.shift('demand')?.pieceIndex).toBe(2);
  queue.hold(request(3, 'fill'));
  expect(queue.reclass(3, 'demand')).toBe(true);
});

test('forgets exactly the request that was cancelled', () => {
  const queue = new UploadQueue(10);
  queue.push(request(1, 'fill', 0), MARK);
  queue.push(request(1, 'fill', 16_384), MARK);
  expect(queue.cancel(1, 16_384)?.offset).toBe(16_384);
  expect(queue.cancel(1, 16_384)).toBeUndefined();
  expect(queue.size).toBe(1);
});
