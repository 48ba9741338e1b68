import type { NodeOverview } from '@bootswarm/tracker';
import { describe, expect, test } from 'vitest';
import { ALL_NODES, chooseNodes, type NodeChoice } from '../src/node-choice.ts';

const NONE = { cache: 0, peers: 0, origin: 0 };

function node(name: string, more: Partial<NodeOverview> = {}): NodeOverview {
  return {
    ...{ node: name, zone: 'az1', rack: 'r1', address: '10.0.0.1:7422', state: 'idle', images: 0 },
    ...{ vmsBooting: 0, vmsConnected: 0, read: NONE, received: NONE, bytesPerSecond: 0 },
    ...{ cacheBytes: 0, cacheBytesMax: 0 },
    ...more,
  };
}

const NODES = [
  node('cmp-10', { zone: 'az2', state: 'booting', vmsBooting: 2, bytesPerSecond: 7 }),
  node('cmp-2', { state: 'alarm', received: { cache: 0, peers: 50, origin: 9 } }),
  node('cmp-1', { rack: 'r7', received: { cache: 0, peers: 80, origin: 1 }, images: 2 }),
  node('gpu-1', { zone: 'az2', address: '10.9.9.9:7422', cacheBytes: 5 }),
];

const chosen = (choice: Partial<NodeChoice>) =>
  chooseNodes(NODES, { ...ALL_NODES, ...choice }).map((each) => each.node);

describe('nodes', () => {
  test('are in the order of their names, numbers by their value', () => {
    expect(chosen({})).toEqual(['cmp-1', 'cmp-2', 'cmp-10', 'gpu-1']);
    expect(chosen({ isDescending: true })).toEqual(['gpu-1', 'cmp-10', 'cmp-2', 'cmp-1']);
  });

  test.each<[string, Partial<NodeChoice>, string[]]>([
    ['a part of the name', { text: ' CMP-1' }, ['cmp-1', 'cmp-10']],
    ['a rack', { text: 'r7' }, ['cmp-1']],
    ['an address', { text: '10.9.' }, ['gpu-1']],
    ['a zone', { zone: 'az2' }, ['cmp-10', 'gpu-1']],
    ['a state', { state: 'alarm' }, ['cmp-2']],
    ['zone and state', { zone: 'az1', state: 'booting' }, []],
  ])('are found by %s', (_, choice, names) => {
    expect(chosen(choice)).toEqual(names);
  });

  test.each<[NodeChoice['order'], string]>([
    ['peers', 'cmp-1'],
    ['origin', 'cmp-2'],
    ['rate', 'cmp-10'],
    ['vms', 'cmp-10'],
    ['images', 'cmp-1'],
    ['disk', 'gpu-1'],
    ['state', 'cmp-2'],
    ['zone', 'cmp-10'],
  ])('have the largest first by %s', (order, name) => {
    expect(chosen({ order, isDescending: true })[0]).toBe(name);
  });

  test('that are alike stay in the order of their names', () => {
    expect(chosen({ order: 'cache', isDescending: true })).toEqual(chosen({}));
  });
});
