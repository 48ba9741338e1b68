import { beforeEach, describe, expect, test } from 'vitest';
import type { AgentMessage, RegistryEffect } from '../src/index.ts';
import { bootOf, kindOf } from './boot-samples.ts';
import { IMAGE, join, PIECE_COUNT, RegistryRig } from './registry-rig.ts';

const ORDER = kindOf(0);
const OTHER = '2'.repeat(40);
let rig: RegistryRig;

beforeEach(() => {
  rig = new RegistryRig();
  for (const node of [1, 2]) {
    rig.greet(node, `n${node}`);
    rig.say(node, join);
  }
  rig.wake(900);
});

function touched(pieceIndexes: readonly number[], isOver = false, boot = 1): AgentMessage {
  const pieces = Uint32Array.from(pieceIndexes);
  return { type: 'touched', image: IMAGE, boot, pieceIndexes: pieces, isOver };
}

const orderEffect = (
  connections: number[],
  revision: number,
  isFull: boolean,
  kinds: object[],
) => ({
  type: 'send',
  connections,
  message: { type: 'boot-order', image: IMAGE, revision, isFull, kinds },
});
const pieces = (from: number, end: number) => Uint32Array.from(ORDER.slice(from, end));

/** A whole boot; returns the effects of its last message. */
function boot(connection: number, seed: number, now: number): RegistryEffect[] {
  rig.say(connection, touched(bootOf(ORDER, seed), false, seed), now);
  return rig.say(connection, touched([], true, seed), now);
}

describe('first touches', () => {
  test('are told to the whole swarm at once, then at most every 50 ms', () => {
    expect(rig.say(1, touched(ORDER.slice(0, 5)), 1_000)).toEqual([
      orderEffect([1, 2], 1, false, [{ kind: 1, from: 0, pieceIndexes: pieces(0, 5) }]),
    ]);
    expect(rig.say(1, touched(ORDER.slice(5, 8)), 1_010)).toEqual([]);
    expect(rig.say(1, touched(ORDER.slice(8, 9)), 1_020)).toEqual([]);
    expect(rig.registry.timeout()).toBe(1_050);
    expect(rig.wake(1_050)).toEqual([
      orderEffect([1, 2], 2, false, [{ kind: 1, from: 5, pieceIndexes: pieces(5, 9) }]),
    ]);
    expect(rig.registry.timeout()).toBeUndefined();
  });

  test('are told to 1,000 members 20 times a second at most, and to more of them more rarely', () => {
    rig = new RegistryRig();
    let now = 0;
    for (let node = 0; node < 2_000; node += 1) {
      rig.greet(node, `n${node}`, now);
      rig.say(node, join, now);
    }
    now = 1_000;
    rig.wake(now);
    let messages = 0;
    for (let at = 0; at < 200; at += 1, now += 5) {
      for (const effect of rig.say(0, touched([at]), now)) {
        if (effect.type === 'send') messages += effect.connections.length;
      }
    }
    expect(messages).toBeGreaterThan(15_000);
    expect(messages).toBeLessThanOrEqual(22_000);
  });

  test('are told whole to who joins, if there is anything to tell', () => {
    rig.greet(3, 'n3', 1_000);
    expect(
      rig.say(3, join, 1_000).map((each) => each.type === 'send' && each.message.type),
    ).toEqual(['members', 'members']);
    rig.say(1, touched(ORDER.slice(0, 5)), 2_000);
    rig.greet(4, 'n4', 2_100);
    expect(rig.say(4, join, 2_100)).toContainEqual(
      orderEffect([4], 1, true, [{ kind: 1, from: 0, pieceIndexes: pieces(0, 5) }]),
    );
  });

  test('of who is not in the swarm, or of an image that is gone, count for nothing', () => {
    rig.greet(3, 'n3', 1_000);
    expect(rig.say(3, touched([1]), 1_000)).toEqual([]);
    rig.feed({ type: 'image-withdrawn', image: IMAGE }, 1_000);
    expect(rig.say(1, touched([1]), 1_000)).toEqual([]);
    expect(rig.registry.bootOrder(IMAGE)).toEqual([]);
  });

  test('are told again from the beginning after a join, and count once', () => {
    rig.say(1, touched(ORDER.slice(0, 20)), 1_000);
    rig.say(1, join, 1_100);
    rig.say(1, touched(bootOf(ORDER, 1), true), 1_200);
    const [{ bootsMerged, pieceIndexes }] = rig.registry.bootOrderStats(IMAGE);
    expect([bootsMerged, pieceIndexes.length]).toEqual([1, bootOf(ORDER, 1).length]);
  });
});

describe('what was learned', () => {
  test('is to be kept whenever a boot is over, and teaches the next tracker', () => {
    expect(boot(1, 1, 1_000)).toContainEqual({ type: 'learned', image: IMAGE });
    boot(2, 2, 2_000);
    const kinds = rig.registry.bootOrder(IMAGE);
    const [{ pieceIndexes }] = rig.registry.bootOrderStats(IMAGE);
    rig.feed(
      { type: 'image-published', image: OTHER, pieceCount: PIECE_COUNT, kinds, isPrejoined: false },
      3_000,
    );
    rig.greet(3, 'n3', 3_000);
    expect(rig.say(3, { ...join, image: OTHER } as AgentMessage, 3_000)).toMatchObject([
      { message: { type: 'members' } },
      { message: { type: 'boot-order', revision: 1, isFull: true, kinds: [{ pieceIndexes }] } },
    ]);
  });

  test('is of the image, whoever leaves its swarm', () => {
    boot(1, 1, 1_000);
    for (const node of [1, 2]) rig.say(node, { type: 'leave', image: IMAGE }, 2_000);
    expect(rig.registry.swarms()).toEqual([]);
    expect(rig.registry.bootOrderStats(IMAGE).length).toBe(1);
  });
});
