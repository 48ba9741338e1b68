/**
 * A node's knowledge of the member order, kept once for all nodes that know the same: with a copy for each, the memory of a
 * storm would grow with the square of its nodes. What a message makes of an order is MemberOrder's decision.
 */
import { MemberDirectory } from '@bootswarm/swarm-proto';
import { MemberOrder, type TrackerMessage } from '@bootswarm/tracker-proto';

type MembersMessage = TrackerMessage & { type: 'members' };

export interface KnownOrder {
  /** Whole, as of its epoch: what a node would be told that knows nothing. */
  readonly whole: MembersMessage;
  /** As the engine takes them. */
  readonly members: MemberDirectory;
}

/** By message, and by what was known before; undefined: nothing. */
const outcomes = new WeakMap<MembersMessage, Map<KnownOrder | undefined, KnownOrder | undefined>>();

/**
 * What is known after `message`: `before` itself when it does not follow on that, undefined when it contradicts it and all is
 * forgotten. The message is not changed from now on.
 */
export function applyMembers(
  before: KnownOrder | undefined,
  message: MembersMessage,
): KnownOrder | undefined {
  const relevant = message.isFull ? undefined : before;
  const known = outcomes.get(message) ?? new Map<KnownOrder | undefined, KnownOrder | undefined>();
  outcomes.set(message, known);
  if (!known.has(relevant)) known.set(relevant, outcomeOf(relevant, message));
  return known.get(relevant);
}

function outcomeOf(
  before: KnownOrder | undefined,
  message: MembersMessage,
): KnownOrder | undefined {
  const order = new MemberOrder();
  if (before !== undefined) order.apply(before.whole);
  if (!order.apply(message)) return order.epoch === undefined ? undefined : before;
  const { members, origins } = order;
  const whole = { ...message, isFull: true, members, left: [], origins };
  return {
    whole,
    members: new MemberDirectory(
      members.map(({ address, ...names }) => ({ ...names, ...address })),
    ),
  };
}
