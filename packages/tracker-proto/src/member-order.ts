/**
 * An agent's copy of the member order of one swarm, kept by the tracker's `members` messages. It is the other half of
 * swarm.ts: applied in order, they give the tracker's own order. A message missed is noticed, not guessed over.
 */
import type { Member, PeerAddress, TrackerMessage } from './messages.ts';

type MembersMessage = TrackerMessage & { type: 'members' };

export class MemberOrder {
  readonly #members = new Map<string, Member>();
  #origins: readonly PeerAddress[] = [];
  #epoch: number | undefined;

  /** In order, the node itself included. */
  get members(): Member[] {
    return [...this.#members.values()];
  }

  get origins(): readonly PeerAddress[] {
    return this.#origins;
  }

  /** Undefined until the order has been told whole. */
  get epoch(): number | undefined {
    return this.#epoch;
  }

  /** Returns false, and changes nothing, when the message does not follow on what is known: join again. */
  apply(message: MembersMessage): boolean {
    if (message.isFull) {
      this.#members.clear();
    } else if (this.#epoch === undefined || message.epoch !== this.#epoch + 1) {
      return false;
    }
    for (const node of message.left) this.#members.delete(node);
    for (const member of message.members) {
      this.#members.delete(member.node);
      this.#members.set(member.node, member);
    }
    this.#origins = message.origins;
    this.#epoch = message.epoch;
    return true;
  }
}
