/**
 * The pieces on their way to us, one flight per piece however many want it: guests, children in the relay tree, prefetch.
 * Keeps each flight's state and asserts its transitions; who is asked is decided elsewhere.
 */
import { assert } from '@bootswarm/stdx';
import type { PeerId } from './engine-io.ts';
import type { Lease } from './origin-leases.ts';
import { classRank } from './peer.ts';
import type { PieceClass } from './peer-message.ts';

export interface Flight {
  readonly pieceIndex: number;
  /** The most urgent class of those who want it. */
  pieceClass: PieceClass;
  /**
   * waiting: nobody is asked, no source yet · asked: requests are open · verifying: being hashed · storing: verified, being
   * written
   */
  state: 'waiting' | 'asked' | 'verifying' | 'storing';
  /** Peers with an open request of ours, oldest first. More than one: hedged. */
  readonly asked: PeerId[];
  /** Peers that rejected it or sent it wrong: not asked again in this flight. */
  readonly refusedBy: PeerId[];
  /** Whom the origin named instead of itself, and when. */
  lease: Lease | undefined;
  leasedAt: number;
  /** The origin has named somebody and its reject is still to come. */
  isRedirected: boolean;
  /** To be asked, or asked, of the origin out of turn, as nobody is known to have wanted it before. */
  isFirstTouch: boolean;
  /** Wanted here, and not only by peers: a guest, a boot order or fill began it or came upon it. */
  isOwn: boolean;
  /** A guest of this node waits. */
  isDemanded: boolean;
  /** Requests of peers that we keep open for it. */
  holders: number;
  /** When it got its present class. */
  wantedAt: number;
  /** When somebody was last asked. */
  askedAt: number;
  /** Those who refused it are not asked again before this. */
  retryAt: number;
}

export class Flights {
  readonly #flights = new Map<number, Flight>();
  /** Demand and boot order without a source, in order of want. */
  readonly waiting = new Set<Flight>();
  #prefetchAsked = 0;
  #askedCount = 0;
  #demands = 0;
  #storing = 0;

  get size(): number {
    return this.#flights.size;
  }

  /** Flights with open requests and nobody, guest or peer's guest, waiting. */
  get prefetchAsked(): number {
    return this.#prefetchAsked;
  }

  /** Flights in state asked. */
  get askedCount(): number {
    return this.#askedCount;
  }

  /** Flights in state storing. */
  get storing(): number {
    return this.#storing;
  }

  /** Flights a guest of this node waits for. */
  get demands(): number {
    return this.#demands;
  }

  get(pieceIndex: number): Flight | undefined {
    return this.#flights.get(pieceIndex);
  }

  values(): IterableIterator<Flight> {
    return this.#flights.values();
  }

  /** nothing → waiting */
  begin(pieceIndex: number, pieceClass: PieceClass, now: number): Flight {
    if (this.#flights.has(pieceIndex)) assert(false, `piece ${pieceIndex} is already in flight`);
    const flight: Flight = {
      pieceIndex,
      pieceClass,
      state: 'waiting',
      asked: [],
      refusedBy: [],
      lease: undefined,
      leasedAt: now,
      isRedirected: false,
      isFirstTouch: false,
      isOwn: true,
      isDemanded: false,
      holders: 0,
      wantedAt: now,
      askedAt: now,
      retryAt: now,
    };
    this.#flights.set(pieceIndex, flight);
    this.waiting.add(flight);
    return flight;
  }

  /** Makes it more urgent; returns whether that changed anything. */
  raise(flight: Flight, pieceClass: PieceClass, now: number): boolean {
    if (classRank(pieceClass) >= classRank(flight.pieceClass)) return false;
    if (flight.state === 'asked' && flight.pieceClass !== 'demand') this.#prefetchAsked -= 1;
    flight.pieceClass = pieceClass;
    if (flight.state === 'asked' && flight.pieceClass !== 'demand') this.#prefetchAsked += 1;
    flight.wantedAt = now;
    return true;
  }

  setDemanded(flight: Flight, isDemanded: boolean): void {
    if (flight.isDemanded === isDemanded) return;
    flight.isDemanded = isDemanded;
    this.#demands += isDemanded ? 1 : -1;
  }

  /** waiting | asked → asked */
  ask(flight: Flight, peer: PeerId, now: number): void {
    assertIn(flight, 'waiting', 'asked', 'ask');
    if (flight.state === 'waiting') {
      flight.state = 'asked';
      this.waiting.delete(flight);
      this.#askedCount += 1;
      if (flight.pieceClass !== 'demand') this.#prefetchAsked += 1;
    }
    flight.asked.push(peer);
    flight.askedAt = now;
  }

  /** A request is open no more; asked → waiting when it was the last. */
  unask(flight: Flight, peer: PeerId): void {
    const index = flight.asked.indexOf(peer);
    if (index < 0) return;
    flight.asked.splice(index, 1);
    if (flight.state === 'asked' && flight.asked.length === 0) {
      this.#leaveAsked(flight);
      flight.state = 'waiting';
      this.waiting.add(flight);
    }
  }

  /** asked | waiting → verifying: a piece can come from a peer whose request we had given up. */
  verify(flight: Flight): void {
    assertIn(flight, 'asked', 'waiting', 'verify');
    if (flight.state === 'asked') this.#leaveAsked(flight);
    this.waiting.delete(flight);
    flight.state = 'verifying';
  }

  /** verifying → waiting: the hash was wrong. */
  refute(flight: Flight, peer: PeerId): void {
    assertIn(flight, 'verifying', 'verifying', 'refute');
    flight.refusedBy.push(peer);
    flight.state = 'waiting';
    this.waiting.add(flight);
  }

  /** verifying → storing */
  store(flight: Flight): void {
    assertIn(flight, 'verifying', 'verifying', 'store');
    flight.state = 'storing';
    this.#storing += 1;
    this.setDemanded(flight, false);
    flight.holders = 0;
  }

  /** waiting | storing → nothing */
  end(flight: Flight): void {
    assertIn(flight, 'waiting', 'storing', 'end');
    this.setDemanded(flight, false);
    if (flight.state === 'storing') this.#storing -= 1;
    this.waiting.delete(flight);
    this.#flights.delete(flight.pieceIndex);
  }

  #leaveAsked(flight: Flight): void {
    this.#askedCount -= 1;
    if (flight.pieceClass !== 'demand') this.#prefetchAsked -= 1;
  }
}

type State = Flight['state'];

/** The complaint is put together only when there is one: this runs several times for each piece. */
function assertIn({ state }: Flight, one: State, other: State, transition: string): void {
  if (state !== one && state !== other) assert(false, `${transition} while ${state}`);
}
