/**
 * Finds out how fast our uplink is beside those of our neighbours before anybody waits for it: when the first wires are
 * there, and every ten minutes, but only while there is no work: a neighbour whose downlink is full answers late, and would
 * make us look slow (simulated, 300 nodes, never seen image: 1.23 x warm when measured as work began, 1.04 x now). One
 * neighbour after the other gets a pair of pings, a bare one and right behind it a padded one; each answer says what the
 * neighbour knows of its own uplink. Two bounds are kept apart. The time from the padded ping to its answer is at least what
 * the padding took to leave: padding over that time is what we tell others, and never too much. The time between the two
 * answers is free of latency and of the queue in front of both: padding over that is what we compare with, and seldom too
 * little. Decides whether we are slow; what follows from that is the uploader's.
 */
import type { Peer } from './peer.ts';
import type { SwarmState } from './swarm-state.ts';

/** 0.13 ms at 1 Gbit/s, 13 ms at a hundredth of it: little to lose, and far more than a late timer. */
const PADDING_BYTES = 16 * 1024;
/** A busy event loop, ours or a neighbour's, comes between the two answers of one pair by chance, not of three in a row. */
const RESULTS_MIN = 3;
/** Where neighbours disagree, more are asked: a third of them at four times our rate can carry the tree for all. */
const RESULTS_MAX = 9;
/** Pairs of one series, unanswered ones included. */
const TRIES_MAX = 12;
/** One neighbour may be wrong about itself. */
const WITNESSES_MIN = 2;
/** Others are that much faster than a node that is no relay: what bottleneck.ts finds under load. */
const FACTOR = 4;
/** An answer that takes longer says nothing of the uplink: 16 KiB in this time are less than 70 kbit/s. */
const GIVE_UP_MS = 2_000;
/** From the first wire to a neighbour to the first pair: the others were dialled at the same moment. */
const SETTLE_MS = 20;
/** Uplinks change rarely; bottleneck.ts notices those that do under load. */
const INTERVAL_MS = 600_000;
/**
 * Where nodes join at one moment all of them measure at once, and none can say how fast it is itself: such a series has found
 * nothing out, and is repeated soon, then after twice as long each time.
 */
const UNTOLD_MIN_MS = 250;
/** A series that is due while there is work is looked at again after this. */
const POSTPONE_MS = 1_000;
/** A slow node looks again after this, and after twice as long each time: it may have been a neighbour on its host. */
const RETRY_MIN_MS = 10_000;
/** Time for the next series, so that a node that stays slow does not relay for the length of it. */
const SERIES_MS = 1_000;
/**
 * No piece leaves while a series lasts, or at most for this long: at a hundredth of 1 Gbit/s the first few would hold up all who
 * wait behind them, and the verdict too, for half a second. A node as fast as others is through in a few ms.
 */
const HOLD_MS = 100;
/** Answers that come at the same instant. */
const TICK_MS = 0.01;
const BYTES_PER_MS_MAX = 0xffff_ffff;

/** Who acts on what is found. */
export interface ProbeOwner {
  /** In our zone: latency and what the zones share would be taken for our uplink. */
  isNear(peer: Peer): boolean;
  /** How far from ours its place in the member order is; 0 while that is unknown. */
  placesApart(peer: Peer): number;
  /** Whether anything is awaited or sent just now. */
  isWorking(): boolean;
  /** Too slow for a relay, and not to be tried as one before `until`. */
  onSlow(until: number): void;
  /** It was too slow, and is no more. */
  onRecovered(): void;
  /** Pieces may leave again. */
  onMeasured(): void;
}

/** A pair on its way; the answers come in the order of the pings. */
interface Pair {
  readonly peer: Peer;
  readonly sentAt: number;
  /** Number of the bare ping among those on its wire. */
  readonly number: number;
  bareAnsweredAt: number;
}

/** In bytes per ms. */
interface Result {
  readonly peer: Peer;
  /** What the answerer says its own uplink has. */
  readonly said: number;
  /** What ours has at most, as this pair has it. */
  readonly ceiling: number;
}

/** Asks neighbours by turns, in random order. */
interface Series {
  readonly neighbours: readonly Peer[];
  tries: number;
  readonly results: Result[];
  /** Bytes per ms of our uplink, at least. */
  floor: number;
  pair: Pair | undefined;
}

export class UplinkProbe<Payload> {
  readonly #state: SwarmState<Payload>;
  readonly #owner: ProbeOwner;
  #series: Series | undefined;
  #floor = 0;
  /** Of the next series. */
  #dueAt = Infinity;
  #isMeasured = false;
  /** While neighbours do not know themselves: the pause that runs; else 0. */
  #untoldMs = 0;
  /** While we are slow: the pause that runs; else 0. */
  #retryMs = 0;

  constructor(state: SwarmState<Payload>, owner: ProbeOwner) {
    this.#state = state;
    this.#owner = owner;
  }

  /** Bytes per ms that our uplink has at least; 0 while unknown. */
  get bytesPerMs(): number {
    return Math.min(BYTES_PER_MS_MAX, Math.round(this.#floor));
  }

  /** When wake() has something to do. */
  get wakeAt(): number {
    const pair = this.#series?.pair;
    if (pair !== undefined) return pair.sentAt + GIVE_UP_MS;
    return this.#dueAt;
  }

  onConnected(peer: Peer): void {
    if (this.#isMeasured || this.#series !== undefined || !this.#isNeighbour(peer)) return;
    this.#dueAt = Math.min(this.#dueAt, this.#state.now + SETTLE_MS);
  }

  onGone(peer: Peer): void {
    if (this.#series?.pair?.peer === peer) this.#next(this.#series);
  }

  wake(): void {
    const { now } = this.#state;
    if (now < this.wakeAt) return;
    this.#dueAt = Infinity;
    if (this.#series !== undefined) this.#next(this.#series);
    else if (this.#retryMs === 0 && this.#owner.isWorking()) this.#dueAt = now + POSTPONE_MS;
    else this.#begin();
  }

  /** The `number`th pong on its wire: pongs come in the order of our pings. */
  onPong(peer: Peer, number: number, bytesPerMs: number): void {
    const series = this.#series;
    const pair = series?.pair;
    if (series === undefined || pair?.peer !== peer) return;
    const { now } = this.#state;
    if (number === pair.number) pair.bareAnsweredAt = now;
    if (number !== pair.number + 1) return;
    series.floor = Math.max(series.floor, rateOver(now - pair.sentAt));
    const ceiling = rateOver(now - pair.bareAnsweredAt);
    series.results.push({ peer, said: bytesPerMs, ceiling });
    this.#next(series);
  }

  #begin(): void {
    if (this.#series !== undefined) return;
    const neighbours = [...this.#state.peers.values()].filter((peer) => this.#isNeighbour(peer));
    if (neighbours.length < WITNESSES_MIN) return this.#forgive(INTERVAL_MS);
    // Those that joined with us stand beside us, and are likely to share our uplink's fate: the farthest are asked first.
    this.#state.random.shuffle(neighbours);
    const apart = new Map(neighbours.map((each) => [each, this.#owner.placesApart(each)]));
    neighbours.sort((a, b) => apart.get(b)! - apart.get(a)!);
    const series = { neighbours, tries: 0, results: [], floor: 0, pair: undefined };
    this.#series = series;
    this.#state.uploadsHeldUntil = this.#state.now + HOLD_MS;
    this.#next(series);
  }

  #next(series: Series): void {
    series.pair = undefined;
    const isSlow = isProvenSlow(series);
    if (isSlow || isOver(series)) return this.#end(series, isSlow);
    while (series.tries < TRIES_MAX) {
      const peer = series.neighbours[series.tries % series.neighbours.length];
      series.tries += 1;
      if (this.#state.peers.get(peer.id) === peer) return this.#ask(series, peer);
    }
    this.#end(series, false);
  }

  #ask(series: Series, peer: Peer): void {
    const sentAt = this.#state.now;
    const number = this.#state.ping(peer);
    this.#state.ping(peer, PADDING_BYTES);
    series.pair = { peer, sentAt, number, bareAnsweredAt: sentAt };
  }

  #end(series: Series, isSlow: boolean): void {
    this.#series = undefined;
    this.#state.uploadsHeldUntil = 0;
    if (series.results.length > 0) {
      this.#floor = series.floor;
      this.#isMeasured = true;
    }
    if (isSlow) this.#condemn();
    else this.#forgive(isTold(series) ? INTERVAL_MS : this.#nextUntoldMs());
    this.#owner.onMeasured();
  }

  #condemn(): void {
    this.#retryMs = Math.min(INTERVAL_MS, Math.max(RETRY_MIN_MS, 2 * this.#retryMs));
    this.#dueAt = this.#state.now + this.#retryMs;
    this.#owner.onSlow(this.#dueAt + SERIES_MS);
  }

  /** Nobody can say that we are slow; the next series comes after `pauseMs`. */
  #forgive(pauseMs: number): void {
    if (this.#retryMs > 0) this.#owner.onRecovered();
    this.#retryMs = 0;
    this.#dueAt = this.#isMeasured ? this.#state.now + pauseMs : Infinity;
  }

  #nextUntoldMs(): number {
    this.#untoldMs = Math.min(INTERVAL_MS, Math.max(UNTOLD_MIN_MS, 2 * this.#untoldMs));
    return this.#untoldMs;
  }

  #isNeighbour(peer: Peer): boolean {
    return peer.isOurs && !peer.isOrigin && this.#owner.isNear(peer);
  }
}

function rateOver(elapsedMs: number): number {
  return PADDING_BYTES / Math.max(TICK_MS, elapsedMs);
}

/** Those answerers that are far faster than we are by their answer, and can be by what we have proven. */
function witnessesOf({ results, floor }: Series): Peer[] {
  const isFaster = ({ said, ceiling }: Result) => said > FACTOR * Math.max(floor, ceiling);
  return results.filter(isFaster).map(({ peer }) => peer);
}

function isProvenSlow(series: Series): boolean {
  const witnesses = witnessesOf(series);
  const distinctMin = Math.min(RESULTS_MIN, series.neighbours.length);
  return witnesses.length >= RESULTS_MIN && new Set(witnesses).size >= distinctMin;
}

/** Enough of those asked know how fast they are themselves. */
function isTold({ results, neighbours }: Series): boolean {
  const told = results.filter(({ said }) => said > 0).length;
  return told >= Math.min(RESULTS_MIN, neighbours.length);
}

/** Nobody is far faster, or enough were asked. */
function isOver(series: Series): boolean {
  const results = series.results.length;
  return results >= RESULTS_MAX || (results >= RESULTS_MIN && witnessesOf(series).length === 0);
}
