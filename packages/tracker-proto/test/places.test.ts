import { beforeEach, describe, expect, test } from 'vitest';
import type { AgentMessage, RegistryEffect } from '../src/index.ts';
import { IMAGE, join, RegistryRig } from './registry-rig.ts';

let rig: RegistryRig;

beforeEach(() => {
  rig = new RegistryRig();
});

/** Nodes n0 to n(count - 1), each on the connection of its number, joined in this order. */
function joined(count: number, zoneOf: (index: number) => string = () => 'z1'): void {
  for (let node = 0; node < count; node += 1) {
    rig.greet(node, `n${node}`, 0, zoneOf(node));
    rig.say(node, join, 0);
  }
  rig.wake(1_000);
}

function suspect(accuser: number, nodes: string[], now: number): RegistryEffect[] {
  const message: AgentMessage = { type: 'suspect', image: IMAGE, nodes };
  return [...rig.say(accuser, message, now), ...rig.wake(now + 50)];
}

/** Names by place. */
function placesOf(zone = 'z1'): string[] {
  return rig.registry
    .swarms()[0]
    .members.map(({ member }) => member)
    .filter((member) => member.zone === zone)
    .sort((a, b) => a.place - b.place)
    .map(({ node }) => node);
}

describe('places', () => {
  test('are counted in each zone', () => {
    joined(5, (index) => (index < 3 ? 'z1' : 'z2'));
    expect(placesOf('z1')).toEqual(['n0', 'n1', 'n2']);
    expect(placesOf('z2')).toEqual(['n3', 'n4']);
  });

  test('of all others stay when one leaves, whose place the last one takes', () => {
    joined(6);
    const effects = rig.say(1, { type: 'leave', image: IMAGE }, 2_000);
    expect(placesOf()).toEqual(['n0', 'n5', 'n2', 'n3', 'n4']);
    expect(effects).toMatchObject([
      { message: { left: ['n1'], members: [{ node: 'n5', place: 1 }] } },
    ]);
    rig.greet(9, 'late', 3_000);
    rig.say(9, join, 3_000);
    expect(placesOf().at(-1)).toBe('late');
  });
});

describe('a suspected node', () => {
  test('changes places with the last of its zone when two members suspect it', () => {
    joined(6, (index) => (index === 5 ? 'z2' : 'z1'));
    expect(suspect(1, ['n0'], 2_000)).toEqual([]);
    expect(suspect(5, ['n0'], 12_000)).toMatchObject([
      {
        message: {
          left: [],
          members: [
            { node: 'n0', place: 4 },
            { node: 'n4', place: 0 },
          ],
        },
      },
    ]);
    expect(placesOf()).toEqual(['n4', 'n1', 'n2', 'n3', 'n0']);
  });

  test('that suspects itself is moved on its own word, once in 30 s', () => {
    joined(6);
    expect(suspect(0, ['n0'], 2_000)).toMatchObject([
      {
        message: {
          members: [
            { node: 'n0', place: 5 },
            { node: 'n5', place: 0 },
          ],
        },
      },
    ]);
    suspect(1, ['n1'], 3_000);
    expect(placesOf()).toEqual(['n5', 'n4', 'n2', 'n3', 'n1', 'n0']);
    rig.greet(9, 'late', 4_000);
    rig.say(9, join, 4_000);
    suspect(0, ['n0'], 31_000);
    expect(placesOf().at(-1)).toBe('late');
    suspect(0, ['n0'], 32_100);
    expect(placesOf().at(-1)).toBe('n0');
  });

  test('stays when the suspicions are more than 10 s apart, or of one member', () => {
    joined(6);
    suspect(1, ['n0'], 2_000);
    suspect(2, ['n0'], 12_001);
    suspect(2, ['n0'], 13_000);
    suspect(3, ['nobody'], 13_000);
    suspect(2, ['n3'], 13_000);
    expect(placesOf()).toEqual(['n0', 'n1', 'n2', 'n3', 'n4', 'n5']);
  });

  test('of a swarm of three is moved on the word of one', () => {
    joined(3);
    suspect(2, ['n0'], 2_000);
    expect(placesOf()).toEqual(['n2', 'n1', 'n0']);
  });

  test('does not come forward again when others are suspected or leave', () => {
    joined(6);
    for (const accuser of [2, 3]) suspect(accuser, ['n0', 'n1'], 2_000);
    expect(placesOf()).toEqual(['n5', 'n4', 'n2', 'n3', 'n1', 'n0']);
    rig.say(5, { type: 'leave', image: IMAGE }, 3_000);
    expect(placesOf()).toEqual(['n3', 'n4', 'n2', 'n0', 'n1']);
  });

  test('that newcomers are behind is moved again, 30 s after the last time', () => {
    joined(5);
    for (const accuser of [2, 3]) suspect(accuser, ['n0'], 2_000);
    rig.greet(9, 'late', 3_000);
    rig.say(9, join, 3_000);
    for (const accuser of [2, 3]) suspect(accuser, ['n0'], 31_000);
    expect(placesOf()).toEqual(['n4', 'n1', 'n2', 'n3', 'n0', 'late']);
    for (const accuser of [2, 3]) suspect(accuser, ['n0'], 32_100);
    expect(placesOf()).toEqual(['n4', 'n1', 'n2', 'n3', 'late', 'n0']);
  });

  test('that comes back at another address is a newcomer', () => {
    joined(5);
    suspect(1, ['n0'], 2_000);
    rig.say(0, { type: 'leave', image: IMAGE }, 2_500);
    rig.say(0, join, 2_600);
    suspect(2, ['n0'], 3_000);
    expect(placesOf().indexOf('n0')).toBe(4);
    suspect(3, ['n4'], 3_000);
    suspect(2, ['n4'], 3_000);
    expect(placesOf()).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
  });
});

test('a member has at most 64 suspicions open at a time', () => {
  joined(70);
  const names = Array.from({ length: 64 }, (_, index) => `n${index + 3}`);
  suspect(0, names, 2_000);
  suspect(0, ['n67'], 2_000);
  suspect(1, ['n67'], 2_000);
  expect(placesOf()[67]).toBe('n67');
  for (const accuser of [0, 1]) suspect(accuser, ['n67'], 12_001);
  expect(placesOf()[67]).toBe('n69');
});

test('suspicions of who is not in the swarm count for nothing', () => {
  joined(5);
  rig.greet(9, 'stranger', 2_000);
  for (const accuser of [9, 1]) suspect(accuser, ['n0'], 2_000);
  expect(placesOf()[0]).toBe('n0');
});
