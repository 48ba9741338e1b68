import { expect, test } from 'vitest';
import { PIECE_SOURCES } from '../src/index.ts';
import { VirtualSwarm } from './virtual-swarm.ts';

test('bytes received are counted once, under who sent them and why they were wanted', () => {
  const swarm = new VirtualSwarm({ pieceCount: 40, seed: 1 });
  const nodes = Array.from({ length: 6 }, (_, index) => swarm.add(`node${index}`));
  swarm.announceMembers();
  for (const node of nodes) {
    swarm.input(node, { type: 'demand', pieceIndex: 0 });
    swarm.input(node, { type: 'prefetch', pieceIndexes: [1, 2, 3] });
    swarm.input(node, { type: 'fill', enabled: true });
  }
  const isDone = () => nodes.every(({ engine }) => engine.snapshot().have.isFull);
  expect(swarm.run(600_000, isDone)).toBe(true);
  const classes = { demand: 0, 'boot-order': 0, fill: 0 };
  for (const { engine } of nodes) {
    const { received, bytesFromPeers, bytesFromOrigin } = engine.snapshot().stats;
    const sumOf = (source: (typeof PIECE_SOURCES)[number]) =>
      Object.values(received[source]).reduce((sum, bytes) => sum + bytes, 0);
    expect(sumOf('origin')).toBe(bytesFromOrigin);
    expect(sumOf('zone') + sumOf('remote') + sumOf('foreign')).toBe(bytesFromPeers);
    expect(sumOf('foreign')).toBe(0);
    for (const source of PIECE_SOURCES) {
      for (const [name, bytes] of Object.entries(received[source])) {
        classes[name as keyof typeof classes] += bytes;
      }
    }
  }
  expect(Object.values(classes).every((bytes) => bytes > 0)).toBe(true);
});
