/**
 * Whether a whole message of a proper length may come now, from this peer, in this swarm: order, ranges and amounts.
 * Requests are matched elsewhere: ours in sent-requests.ts, the peer's in received-requests.ts.
 */
import { BLOCK_LENGTH, pieceLengthAt } from '@bootswarm/metainfo';
import { ProtocolError } from '@bootswarm/stdx';
import type { ChatterBudget } from './chatter-budget.ts';
import { EXTENSION_ID } from './extended-handshake.ts';
import { LENGTH_BYTES, MESSAGE_ID, readUint32 } from './message-ids.ts';
import type { WireSwarm } from './wire-swarm.ts';

const BODY = LENGTH_BYTES + 1;
/** A piece is had once; a restarted store may say some again. */
const HAVES_PER_PIECE = 2;
const HAVES_SPARE = 1_024;
/** Decoding up to 64 KiB of bencode. */
const EXTENDED_HANDSHAKE_COST = 64;
/** Of padding, or of what we do not know: a peer may send 256 KiB of it a second for ever. */
const EXTENDED_BYTES_PER_TOKEN = 1_024;
/** Up to 18 KiB of answer, and a walk over the hash tree. */
const HASH_REQUEST_COST = 8;

export class MessageRules {
  readonly #swarm: WireSwarm;
  readonly #hasFast: boolean;
  readonly #chatter: ChatterBudget;
  readonly #isOurs: boolean;
  /** BEP 3: the bitfield comes first. Extended messages (BEP 10) and `port` may come before it. */
  #mayTellPieces = true;
  #havesLeft: number;

  constructor(swarm: WireSwarm, hasFast: boolean, isOurs: boolean, chatter: ChatterBudget) {
    this.#swarm = swarm;
    this.#hasFast = hasFast;
    this.#isOurs = isOurs;
    this.#chatter = chatter;
    this.#havesLeft = swarm.pieceCount * HAVES_PER_PIECE + HAVES_SPARE;
  }

  /** Throws ProtocolError for a message that may not come. */
  check(frame: Uint8Array, nowMs: number): void {
    const id = frame[LENGTH_BYTES];
    switch (id) {
      case MESSAGE_ID.bitfield:
      case MESSAGE_ID.haveAll:
      case MESSAGE_ID.haveNone:
        this.#checkPieces(id, frame);
        return;
      case MESSAGE_ID.port:
        this.#chatter.spend(1, nowMs);
        return;
      case MESSAGE_ID.extended:
        this.#checkExtended(frame[BODY], frame.length, nowMs);
        return;
    }
    this.#mayTellPieces = false;
    this.#checkRest(id, frame, nowMs);
  }

  /** A piece came, whose request was looked up. */
  onPiece(): void {
    this.#mayTellPieces = false;
  }

  /** Counts pieces the peer says it has, in a `have` or in a batch. */
  countHaves(count: number): void {
    this.#mayTellPieces = false;
    this.#havesLeft -= count;
    if (this.#havesLeft < 0) throw new ProtocolError('have-flood');
  }

  #checkExtended(extensionId: number, length: number, nowMs: number): void {
    // A batch is paid for by countHaves().
    if (this.#isOurs && extensionId === EXTENSION_ID.bs_have) return;
    const cost = 1 + Math.floor(length / EXTENDED_BYTES_PER_TOKEN);
    this.#chatter.spend(extensionId === 0 ? EXTENDED_HANDSHAKE_COST : cost, nowMs);
  }

  #checkPieces(id: number, frame: Uint8Array): void {
    if (!this.#mayTellPieces) throw new ProtocolError('bitfield-not-first', { id });
    this.#mayTellPieces = false;
    if (id !== MESSAGE_ID.bitfield) {
      this.#checkFast(id);
      return;
    }
    const spareBits = (frame.length - BODY) * 8 - this.#swarm.pieceCount;
    if ((frame[frame.length - 1] & ((1 << spareBits) - 1)) !== 0) {
      throw new ProtocolError('bitfield-spare-bits', { spareBits });
    }
  }

  #checkRest(id: number, frame: Uint8Array, nowMs: number): void {
    switch (id) {
      case MESSAGE_ID.have:
        this.#checkIndex(frame);
        this.countHaves(1);
        return;
      case MESSAGE_ID.request:
        this.#checkRequest(frame);
        return;
      case MESSAGE_ID.hashRequest:
        this.#chatter.spend(HASH_REQUEST_COST, nowMs);
        return;
      case MESSAGE_ID.hashes:
      case MESSAGE_ID.hashReject:
        throw new ProtocolError('hashes-unrequested');
      case MESSAGE_ID.suggest:
      case MESSAGE_ID.allowedFast:
        this.#checkFast(id);
        this.#checkIndex(frame);
        break;
      case MESSAGE_ID.reject:
        this.#checkFast(id);
        this.#checkRange(frame);
        break;
      case MESSAGE_ID.cancel:
        this.#checkRange(frame);
        break;
    }
    // Choke and interest states and unknown ids come here as they are.
    this.#chatter.spend(1, nowMs);
  }

  /** Between ours a request is a whole piece; a foreign one is at most a block within a piece. */
  #checkRequest(frame: Uint8Array): void {
    const length = readUint32(frame, BODY + 8);
    const lengthMax = this.#isOurs ? this.#swarm.pieceLength : BLOCK_LENGTH;
    if (length > lengthMax) throw new ProtocolError('request-too-long', { length, lengthMax });
    this.#checkRange(frame);
    if (!this.#isOurs) return;
    const pieceLength = pieceLengthAt(this.#swarm, readUint32(frame, BODY));
    if (length !== pieceLength) throw new ProtocolError('request-not-whole', { length });
  }

  /** Libtorrent takes a last piece for zero-padded to its full length, and asks for its last block so. */
  #checkRange(frame: Uint8Array): void {
    this.#checkIndex(frame);
    const pieceLength = pieceLengthAt(this.#swarm, readUint32(frame, BODY));
    const offset = readUint32(frame, BODY + 4);
    const length = readUint32(frame, BODY + 8);
    const end = this.#isOurs ? pieceLength : this.#swarm.pieceLength;
    if (length === 0 || offset >= pieceLength || offset + length > end) {
      throw new ProtocolError('range-out-of-piece', { offset, length, pieceLength });
    }
  }

  #checkIndex(frame: Uint8Array): void {
    const pieceIndex = readUint32(frame, BODY);
    if (pieceIndex < this.#swarm.pieceCount) return;
    throw new ProtocolError('index-out-of-range', { pieceIndex });
  }

  /** BEP 6: "the peer MUST close the connection". */
  #checkFast(id: number): void {
    if (!this.#hasFast) throw new ProtocolError('fast-not-negotiated', { id });
  }
}
