import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RegistryEffect } from '../src/index.ts';
import { MemberOrder } from '../src/index.ts';
import { helloOf, IMAGE, join, memberOf, RegistryRig } from './registry-rig.ts';

test('every agent that applies its messages knows the order of the tracker', () => {
  const step = fc.record({
    agent: fc.nat(5),
    action: fc.constantFrom('connect', 'disconnect', 'join', 'leave', 'move'),
    wait: fc.constantFrom(0, 0, 10, 60, 11_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rig = new RegistryRig({ messagesBurstMax: 1_000 });
      const views = new Map<number, MemberOrder>();
      let connections = 0;
      let now = 0;
      const open = new Map<number, number>();
      const apply = (effects: RegistryEffect[]) => {
        for (const effect of effects) {
          if (effect.type === 'close') throw new Error(effect.code);
          if (effect.message.type !== 'members') continue;
          const { message } = effect;
          for (const each of effect.connections) {
            if (message.isFull) views.set(each, new MemberOrder());
            expect(views.get(each)?.apply(message)).toBe(true);
          }
        }
      };
      for (const { agent, action, wait } of steps) {
        now += wait;
        const connection = open.get(agent);
        if (connection === undefined) {
          connections += 1;
          open.set(agent, connections);
          const port = action === 'move' ? 7_000 : 6_881;
          apply(rig.connect(connections, now));
          apply(rig.say(connections, helloOf(`n${agent}`, port), now));
        } else if (action === 'disconnect' || action === 'move') {
          open.delete(agent);
          apply(rig.disconnect(connection, now));
          views.delete(connection);
        } else if (action === 'join') {
          apply(rig.say(connection, join, now));
        } else if (action === 'leave') {
          apply(rig.say(connection, { type: 'leave', image: IMAGE }, now));
          // What was said before the leave arrives all the same.
          views.delete(connection);
        }
        apply(rig.wake(now));
      }
      apply(rig.wake(now + 100));
      const order = rig.registry.swarms()[0]?.members.map(({ member }) => member);
      for (const view of views.values()) expect(view.members).toEqual(order);
    }),
    { numRuns: 300 },
  );
});

test('an agent that missed an epoch notices and keeps what it knew until it is told the whole', () => {
  const order = new MemberOrder();
  const base = { type: 'members', image: IMAGE, left: [], origins: [] } as const;
  expect(order.apply({ ...base, epoch: 4, isFull: false, members: [] })).toBe(false);
  expect(order.apply({ ...base, epoch: 4, isFull: true, members: [memberOf('a')] })).toBe(true);
  expect(order.apply({ ...base, epoch: 6, isFull: false, members: [memberOf('b')] })).toBe(false);
  expect(order.members).toEqual([memberOf('a')]);
  expect(order.apply({ ...base, epoch: 5, isFull: false, members: [memberOf('b')] })).toBe(true);
  expect(order.epoch).toBe(5);
  expect(order.apply({ ...base, epoch: 1, isFull: true, members: [memberOf('c')] })).toBe(true);
  expect([order.epoch, order.members]).toEqual([1, [memberOf('c')]]);
});
