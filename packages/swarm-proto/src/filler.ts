/**
 * Fetches what no guest has asked for: from peers as long as they have room; of what nobody has, this node's share from the
 * origin; and when that stalls, from whoever is left. Which piece comes next is FillPicker's decision.
 */
import type { Availability } from './availability.ts';
import type { OriginReason } from './engine-io.ts';
import { type FillPick, FillPicker } from './fill-picker.ts';
import type { Neighbours } from './neighbours.ts';
import type { Peer } from './peer.ts';
import type { SwarmState } from './swarm-state.ts';

/** Who opens the requests. */
export interface FillAsker {
  /** Whether one more piece may be on its way that nobody waits for. */
  hasPrefetchRoom(): boolean;
  askForFill(pick: FillPick, originReason?: OriginReason): void;
}

export class Filler<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #neighbours: Neighbours<Payload>;
  readonly #availability: Availability;
  readonly #picker: FillPicker<Payload>;
  readonly #asker: FillAsker;
  #isEnabled = false;
  /** When a piece last came from a willing peer, or one of our share. */
  #progressAt = 0;
  /** Pieces asked of the origin, or of who is unwilling, because fill had stalled: that they come ends no stall. */
  readonly #outOfTurn = new Set<number>();

  constructor(
    state: SwarmState<Payload>,
    neighbours: Neighbours<Payload>,
    availability: Availability,
    asker: FillAsker,
  ) {
    this.#state = state;
    this.#neighbours = neighbours;
    this.#availability = availability;
    this.#picker = new FillPicker(state, availability, neighbours);
    this.#asker = asker;
  }

  get isEnabled(): boolean {
    return this.#isEnabled && !this.#state.have.isFull;
  }

  /** Everything has been asked for. */
  get isEndgame(): boolean {
    return this.isEnabled && this.#availability.listed === 0;
  }

  enable(isEnabled: boolean): void {
    this.#isEnabled = isEnabled;
    this.#progressAt = this.#state.now;
  }

  /** A piece of the fill has come. */
  got(pieceIndex: number): void {
    if (!this.#outOfTurn.delete(pieceIndex)) this.#progressAt = this.#state.now;
  }

  /** It was not got after all, or for another reason. */
  forget(pieceIndex: number): void {
    this.#outOfTurn.delete(pieceIndex);
  }

  /** Asks for as much as there is room for. */
  fill(): void {
    const { limits, now } = this.#state;
    while (this.#asker.hasPrefetchRoom()) {
      const pick = this.#picker.fromPeers();
      if (pick === undefined) break;
      this.#asker.askForFill(pick);
    }
    const isStalled = now - this.#progressAt > limits.fillStalledMs;
    const origin = this.#neighbours.origins.find((peer) => peer.isServing(now));
    if (origin !== undefined) return this.#fromOrigin(origin, isStalled);
    const isNobodyElse =
      this.#availability.bucketSize(0) > 0 && this.#neighbours.origins.length === 0;
    if (isNobodyElse) this.#neighbours.reachOrigin();
    if (isStalled) this.#fromUnwilling();
  }

  #fromOrigin(origin: Peer, isStalled: boolean): void {
    const { fillFromOriginMax } = this.#state.limits;
    while (this.#asker.hasPrefetchRoom() && origin.requests.size < fillFromOriginMax) {
      let pick = this.#picker.fromOrigin(origin);
      if (pick === undefined && isStalled) {
        pick = this.#picker.orphan(origin);
        if (pick) this.#outOfTurn.add(pick.pieceIndex);
      }
      if (pick === undefined) break;
      this.#asker.askForFill(pick, 'fill-share');
    }
  }

  /** Better a source that has been silent or slow than none, a piece at a time. */
  #fromUnwilling(): void {
    while (this.#asker.hasPrefetchRoom()) {
      const pick = this.#picker.fromUnwilling();
      if (pick === undefined) return;
      this.#outOfTurn.add(pick.pieceIndex);
      this.#asker.askForFill(pick);
    }
  }
}
