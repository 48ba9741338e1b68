import { MemberDirectory } from '@bootswarm/swarm-proto';
import { type Member, MemberOrder, type TrackerMessage } from '@bootswarm/tracker-proto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyMembers, type KnownOrder } from '../src/known-order.ts';

type MembersMessage = TrackerMessage & { type: 'members' };

const origins = [{ host: 'origin', port: 1 }];

function memberOf(node: string, place: number): Member {
  return { node, zone: 'z', rack: 'r', place, address: { host: `${node}.host`, port: 2 } };
}

const message: fc.Arbitrary<MembersMessage> = fc
  .record({
    isFull: fc.boolean(),
    epoch: fc.integer({ min: 1, max: 4 }),
    nodes: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd')),
    left: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
  })
  .map(({ isFull, epoch, nodes, left }) => {
    const change = { members: nodes.map(memberOf), left: isFull ? [] : left, origins };
    return { type: 'members', image: 'i', epoch, isFull, ...change } as const;
  });

test('nodes that share what they know each know what a MemberOrder of their own would tell', () => {
  const run = fc.array(fc.tuple(message, fc.subarray([0, 1, 2])), { maxLength: 30 });
  fc.assert(
    fc.property(run, (sent) => {
      const own = [0, 1, 2].map(() => new MemberOrder());
      const shared: (KnownOrder | undefined)[] = [undefined, undefined, undefined];
      for (const [each, nodes] of sent) {
        for (const node of nodes) {
          const before = shared[node];
          const outcome = applyMembers(before, each);
          const isApplied = outcome !== undefined && outcome !== before;
          expect(isApplied).toBe(own[node].apply(each));
          shared[node] = outcome;
          expect(outcome?.whole.epoch).toBe(own[node].epoch);
          if (outcome === undefined) continue;
          const members = own[node].members.map(({ address, ...rest }) => ({
            ...rest,
            ...address,
          }));
          expect(outcome.members).toEqual(new MemberDirectory(members));
          expect(outcome.whole.origins).toEqual(origins);
        }
      }
    }),
  );
});

test('nodes forget an order that a message contradicts, and take no change to it before they are told it whole', () => {
  const told = { type: 'members', image: 'i', left: [], origins } as const;
  const whole = { ...told, epoch: 1, isFull: true, members: [memberOf('a', 0), memberOf('b', 1)] };
  const contradiction = { ...told, epoch: 2, isFull: false, members: [], left: ['a'] };
  const change = { ...told, epoch: 2, isFull: false, members: [memberOf('c', 2)] };
  const known = applyMembers(undefined, whole);
  expect(applyMembers(known, { ...change, epoch: 3 })).toBe(known);
  expect(applyMembers(known, contradiction)).toBeUndefined();
  expect(applyMembers(undefined, change)).toBeUndefined();
});

test('one message to nodes that know the same is worked out once', () => {
  const first = { type: 'members', image: 'i', epoch: 1, isFull: true, left: [], origins } as const;
  const whole = { ...first, members: [memberOf('a', 0)] };
  const change = { ...first, epoch: 2, isFull: false, members: [memberOf('b', 1)] };
  const [one, other] = [applyMembers(undefined, whole), applyMembers(undefined, whole)];
  expect(other).toBe(one);
  expect(applyMembers(one, change)).toBe(applyMembers(other, change));
});
