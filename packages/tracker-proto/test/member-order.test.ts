import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Member, RegistryEffect } from '../src/index.ts';
import { MemberOrder } from '../src/index.ts';
import { helloOf, IMAGE, join, memberOf, RegistryRig } from './registry-rig.ts';

const ZONES = ['z1', 'z2'];

/** By place and zone, as an agent lists them. */
function listed(members: readonly Member[]): Member[] {
  return members.toSorted((a, b) => a.place - b.place || (a.zone < b.zone ? -1 : 1));
}

/** Places of each zone from 0 on, without holes. */
function expectDense(members: readonly Member[]): void {
  for (const zone of ZONES) {
    const places = members.filter((each) => each.zone === zone).map(({ place }) => place);
    expect(places.toSorted((a, b) => a - b)).toEqual(places.map((_, index) => index));
  }
}

test('every agent that applies its messages knows the places that the tracker gave, dense in each zone', () => {
  const step = fc.record({
    agent: fc.nat(7),
    action: fc.constantFrom('connect', 'disconnect', 'join', 'join', 'leave', 'move', 'suspect'),
    suspect: fc.nat(7),
    wait: fc.constantFrom(0, 0, 10, 60, 11_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const rig = new RegistryRig({ messagesBurstMax: 1_000 });
      const views = new Map<number, MemberOrder>();
      let connections = 0;
      let now = 0;
      const open = new Map<number, number>();
      const apply = (effects: RegistryEffect[]) => {
        for (const effect of effects) {
          if (effect.type === 'close') throw new Error(effect.code);
          if (effect.type !== 'send' || effect.message.type !== 'members') continue;
          const { message } = effect;
          for (const each of effect.connections) {
            if (message.isFull) views.set(each, new MemberOrder());
            expect(views.get(each)?.apply(message)).toBe(true);
          }
        }
      };
      for (const { agent, action, suspect, wait } of steps) {
        now += wait;
        const connection = open.get(agent);
        if (connection === undefined) {
          connections += 1;
          open.set(agent, connections);
          const port = action === 'move' ? 7_000 : 6_881;
          apply(rig.connect(connections, now));
          apply(rig.say(connections, helloOf(`n${agent}`, port, ZONES[agent % 2]), now));
        } else if (action === 'disconnect' || action === 'move') {
          open.delete(agent);
          apply(rig.disconnect(connection, now));
          views.delete(connection);
        } else if (action === 'join') {
          apply(rig.say(connection, join, now));
        } else if (action === 'suspect') {
          const nodes = [`n${suspect}`];
          apply(rig.say(connection, { type: 'suspect', image: IMAGE, nodes }, now));
        } else if (action === 'leave') {
          apply(rig.say(connection, { type: 'leave', image: IMAGE }, now));
          // What was said before the leave arrives all the same.
          views.delete(connection);
        }
        apply(rig.wake(now));
      }
      apply(rig.wake(now + 100));
      const order = (rig.registry.swarms()[0]?.members ?? []).map(({ member }) => member);
      expectDense(order);
      for (const view of views.values()) expect(view.members).toEqual(listed(order));
    }),
    { numRuns: 300 },
  );
});

const base = { type: 'members', image: IMAGE, left: [], origins: [] } as const;

test('an agent that missed an epoch notices and keeps what it knew until it is told the whole', () => {
  const order = new MemberOrder();
  const [a, b, c] = [memberOf('a', 0), memberOf('b', 1), memberOf('c', 0)];
  expect(order.apply({ ...base, epoch: 4, isFull: false, members: [] })).toBe(false);
  expect(order.apply({ ...base, epoch: 4, isFull: true, members: [a] })).toBe(true);
  expect(order.apply({ ...base, epoch: 6, isFull: false, members: [b] })).toBe(false);
  expect(order.members).toEqual([a]);
  expect(order.apply({ ...base, epoch: 5, isFull: false, members: [b] })).toBe(true);
  expect(order.epoch).toBe(5);
  expect(order.apply({ ...base, epoch: 1, isFull: true, members: [c] })).toBe(true);
  expect([order.epoch, order.members]).toEqual([1, [c]]);
});

test('members of two zones are listed by place, whoever was told of first', () => {
  const order = new MemberOrder();
  const members = [memberOf('b', 0, 1, 'z2'), memberOf('d', 1, 1, 'z2'), memberOf('a', 0)];
  expect(order.apply({ ...base, epoch: 1, isFull: true, members })).toBe(true);
  expect(order.members.map(({ node }) => node)).toEqual(['a', 'b', 'd']);
});

test.each([
  ['one place for two', [memberOf('a', 0), memberOf('b', 0)]],
  ['an empty place', [memberOf('a', 0), memberOf('b', 2)]],
  ['one member twice', [memberOf('a', 0), memberOf('a', 1)]],
])('an order with %s is forgotten, whole or as a change, until the whole comes', (_, members) => {
  const order = new MemberOrder();
  expect(order.apply({ ...base, epoch: 1, isFull: true, members })).toBe(false);
  expect(order.apply({ ...base, epoch: 1, isFull: true, members: [] })).toBe(true);
  expect(order.apply({ ...base, epoch: 2, isFull: false, members })).toBe(false);
  expect([order.epoch, order.members]).toEqual([undefined, []]);
  expect(order.apply({ ...base, epoch: 3, isFull: false, members: [] })).toBe(false);
  expect(order.apply({ ...base, epoch: 3, isFull: true, members: [memberOf('c', 0)] })).toBe(true);
});
