/** What the engine knows of one connected peer, and the arithmetic on it. Holds state; decides nothing. */
import { Bitfield } from '@bootswarm/stdx';
import type { PeerId } from './engine-io.ts';
import type { SwarmLimits } from './limits.ts';
import type { PeerIdentity, PieceClass } from './peer-message.ts';
import { RateMeter } from './rate-meter.ts';
import { Standing } from './standing.ts';
import { UploadQueue } from './upload-queue.ts';

/** A piece we asked this peer for. */
export interface Request {
  readonly pieceIndex: number;
  readonly length: number;
  readonly sentAt: number;
}

/** Assumed before anything is measured: 12.5 MB/s, a tenth of 1 Gbit/s. */
const RATE_UNKNOWN_BYTES_PER_MS = 12_500;
/** Answers in which a best latency that is not reached any more is forgotten. */
const BEST_FORGOTTEN_IN = 64;
/** A full queue or a lost piece makes a peer reject what it has; so often in a row, it gives nothing. */
const REJECTS_IN_A_ROW_MAX = 8;
/** Assumed round trip before anything is measured. */
const LATENCY_UNKNOWN_MS = 5;

export class Peer {
  readonly id: PeerId;
  readonly identity: PeerIdentity;
  readonly isOurs: boolean;
  readonly isOrigin: boolean;
  /** Its node, when it is one of ours. */
  readonly node: string | undefined;
  /** Key of the dial that made this wire, if we dialled. */
  readonly dialled: string | undefined;
  readonly have: Bitfield;
  /** Said have-all, or a full bitfield, or all pieces one by one: not counted in Availability. */
  isSeeder = false;
  /** BEP 3: a wire begins choked on both sides. */
  peerIsChoking = true;
  amInterested = false;
  amChoking = true;
  peerIsInterested = false;
  isCongested = false;
  /** By piece, in the order sent: the first is the oldest. */
  readonly requests = new Map<number, Request>();
  bytesOutstanding = 0;
  /** When it last sent a piece, or when it was last asked while owing nothing. */
  progressAt = 0;
  /** When it last asked for a piece, or was asked for one; at first, when its wire was made. */
  usedAt = 0;
  /** When it last sent anything at all. */
  heardAt = 0;
  /** When it was asked whether it is there; 0 when it has been heard since. */
  probedAt = 0;
  /** One of ours, silent although asked whether it is there: asked for nothing until it is heard again. */
  isSilent = false;
  /** Pings sent, and pongs received for them, in the same order. */
  pings = 0;
  pongs = 0;
  /** Pieces of which it was the first source and a second one was faster, since it last was first. */
  racesLost = 0;
  readonly standing = new Standing();
  readonly download = new RateMeter();
  /** The least time seen from request to piece: the round trip without queues. */
  latencyBestMs = LATENCY_UNKNOWN_MS;
  readonly uploads: UploadQueue;
  bytesReceived = 0;
  bytesSent = 0;
  #rejectsInARow = 0;

  constructor(
    id: PeerId,
    identity: PeerIdentity,
    dialled: string | undefined,
    pieceCount: number,
    limits: SwarmLimits,
  ) {
    this.id = id;
    this.identity = identity;
    this.isOurs = identity.kind === 'ours';
    this.isOrigin = identity.kind === 'ours' && identity.isOrigin;
    this.node = identity.kind === 'ours' ? identity.node : undefined;
    this.dialled = dialled;
    this.have = new Bitfield(pieceCount);
    this.uploads = new UploadQueue(limits.requestsHeldMax);
  }

  get zone(): string | undefined {
    return this.identity.kind === 'ours' ? this.identity.zone : undefined;
  }

  has(pieceIndex: number): boolean {
    return this.isSeeder || this.have.has(pieceIndex);
  }

  /** Can be asked for a piece: willing, answering, and trusted with one more. */
  isServing(now: number): boolean {
    if (this.peerIsChoking || this.isSilent || this.standing.isAvoided(now)) return false;
    return this.standing.allows(this.requests.size);
  }

  /** It sent something. */
  heard(now: number): void {
    this.heardAt = now;
    this.probedAt = 0;
    this.isSilent = false;
  }

  /** What it has not done until now is not held against it. */
  pardon(now: number): void {
    this.heardAt = now;
    this.progressAt = now;
    this.probedAt = 0;
  }

  /** Milliseconds until a piece of `length` asked for now would be here. */
  finishMs(length: number): number {
    const rate = this.download.bytesPerMs || RATE_UNKNOWN_BYTES_PER_MS;
    return this.latencyBestMs + (this.bytesOutstanding + length) / rate;
  }

  /** Whether one more prefetch request keeps the pipe full without building a queue in front of a demand piece. */
  hasRoom(pieceLength: number, isBesideGuests: boolean, limits: SwarmLimits): boolean {
    const inFlight = this.requests.size;
    if (inFlight < limits.requestsInFlightMin) return true;
    const foreignMax =
      this.identity.kind === 'foreign' ? this.identity.requestsInFlightMax : Infinity;
    if (inFlight >= Math.min(limits.requestsInFlightMax, foreignMax)) return false;
    // A queue of our own making becomes the best latency after a while, so that does not count where queues shall end.
    const pipelineMs = isBesideGuests
      ? limits.pipelineBesideGuestsMs
      : this.latencyBestMs + limits.pipelineMs;
    return this.bytesOutstanding + pieceLength <= this.download.bytesPerMs * pipelineMs;
  }

  asked(request: Request): void {
    if (this.requests.size === 0) this.progressAt = request.sentAt;
    this.usedAt = request.sentAt;
    this.requests.set(request.pieceIndex, request);
    this.bytesOutstanding += request.length;
  }

  /** Takes a request back: answered, rejected, cancelled. */
  settle(pieceIndex: number): Request | undefined {
    const request = this.requests.get(pieceIndex);
    if (request === undefined) return undefined;
    this.requests.delete(pieceIndex);
    this.bytesOutstanding -= request.length;
    return request;
  }

  /** It does not give what it says it has; often in a row, it is not to be relied on. */
  rejected(now: number): void {
    this.#rejectsInARow += 1;
    if (this.#rejectsInARow < REJECTS_IN_A_ROW_MAX) return;
    this.#rejectsInARow = 0;
    this.standing.failed(now);
  }

  /** Counts an answer in the estimates. */
  answered(request: Request, now: number): void {
    this.#rejectsInARow = 0;
    const latency = now - request.sentAt;
    this.download.add(request.length, now - Math.max(this.progressAt, request.sentAt));
    // What was best once is believed a little less with every answer that is not.
    this.latencyBestMs = Math.min(
      latency,
      this.latencyBestMs + (latency - this.latencyBestMs) / BEST_FORGOTTEN_IN,
    );
    this.bytesReceived += request.length;
    this.progressAt = now;
  }
}

/** Lower goes first. */
export function classRank(pieceClass: PieceClass): number {
  return pieceClass === 'demand' ? 0 : pieceClass === 'boot-order' ? 1 : 2;
}
