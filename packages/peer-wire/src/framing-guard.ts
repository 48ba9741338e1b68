/**
 * Cuts the bytes of a connection, in any segmentation, into the handshake and then whole messages. Decides the length
 * of everything before it takes memory for it; holds at most one message. What a message means, and whether it may
 * come now, is message-rules.ts. Knows no sockets and no clock.
 */
import { assert, copyBytes } from '@bootswarm/stdx';
import { FrameLengths } from './frame-lengths.ts';
import {
  checkHandshakePrefix,
  HANDSHAKE_BYTES,
  type Handshake,
  parseHandshake,
} from './handshake.ts';
import { LENGTH_BYTES, MESSAGE_ID, PIECE_HEAD_BYTES, readUint32 } from './message-ids.ts';

export interface FramingGuardSink {
  /** The far end's handshake. Returns the shape of the swarm it named, or throws. */
  onHandshake(handshake: Handshake): { readonly pieceCount: number; readonly pieceLength: number };
  onKeepAlive(): void;
  /**
   * A `piece` message begins. Throws unless these `length` bytes were asked for, so an unasked one takes no memory. Returns
   * where they shall go, `length` bytes that are the message's alone until onPiece().
   */
  admitPiece(pieceIndex: number, offset: number, length: number): Uint8Array;
  /** The whole of an admitted `piece`, in the buffer that it was given. */
  onPiece(pieceIndex: number, offset: number, payload: Uint8Array): void;
  /**
   * Any other whole message with its four length bytes, of a length that its id allows. May be a view on the chunk:
   * copy what you keep.
   */
  onFrame(frame: Uint8Array): void;
}

/** Length and id: enough to check the length of any message. */
const HEAD_BYTES = LENGTH_BYTES + 1;

export class FramingGuard {
  readonly #sink: FramingGuardSink;
  /** Undefined until the handshake is done. */
  #lengths: FrameLengths | undefined;
  /** The handshake, later the first bytes of a message. */
  #head = new Uint8Array(HANDSHAKE_BYTES);
  #headHave = 0;
  #headNeed = HANDSHAKE_BYTES;
  /** What is being filled: a whole message, or the payload of a piece. */
  #frame: Uint8Array | undefined;
  #frameHave = 0;
  /** Set while `#frame` is the payload of a piece. */
  #isPiece = false;
  #pieceIndex = 0;
  #pieceOffset = 0;
  #framesDone = 0;
  #isStopped = false;

  constructor(sink: FramingGuardSink) {
    this.#sink = sink;
  }

  /** Memory held for a message that has not come whole, at most one message. */
  get bufferedBytes(): number {
    return this.#frame?.length ?? this.#headHave;
  }

  /** Messages handed on, keep-alives included. */
  get framesDone(): number {
    return this.#framesDone;
  }

  /** Throws ProtocolError, its own or the sink's, and is then stopped. */
  push(chunk: Uint8Array): void {
    let at = 0;
    try {
      while (at < chunk.length && !this.#isStopped) {
        if (this.#frame !== undefined) at = this.#fillFrame(this.#frame, chunk, at);
        else if (this.#lengths !== undefined) at = this.#readHead(this.#lengths, chunk, at);
        else at = this.#readHandshake(chunk, at);
      }
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Ignores the rest of the bytes, also of a chunk that is being pushed. */
  stop(): void {
    this.#isStopped = true;
    this.#frame = undefined;
    this.#headHave = 0;
  }

  #readHandshake(chunk: Uint8Array, from: number): number {
    const at = this.#fillHead(chunk, from);
    checkHandshakePrefix(this.#head, this.#headHave);
    if (this.#headHave < HANDSHAKE_BYTES) return at;
    const bytes = this.#head;
    // The handshake keeps the first buffer: whoever received it may hold on to its peer id.
    this.#head = new Uint8Array(PIECE_HEAD_BYTES);
    this.#expectHead();
    this.#lengths = new FrameLengths(this.#sink.onHandshake(parseHandshake(bytes)));
    return at;
  }

  #readHead(lengths: FrameLengths, chunk: Uint8Array, from: number): number {
    let at = this.#fillHead(chunk, from);
    if (this.#headHave === LENGTH_BYTES) {
      if (readUint32(this.#head, 0) === 0) {
        this.#expectHead();
        this.#framesDone += 1;
        this.#sink.onKeepAlive();
        return at;
      }
      this.#headNeed = HEAD_BYTES;
      at = this.#fillHead(chunk, at);
    }
    if (this.#headHave === HEAD_BYTES && this.#headNeed === HEAD_BYTES) {
      lengths.check(this.#head[LENGTH_BYTES], readUint32(this.#head, 0));
      if (this.#head[LENGTH_BYTES] !== MESSAGE_ID.piece) return this.#beginFrame(chunk, at);
      this.#headNeed = PIECE_HEAD_BYTES;
      at = this.#fillHead(chunk, at);
    }
    if (this.#headHave === PIECE_HEAD_BYTES) {
      this.#beginPiece();
    }
    return at;
  }

  #beginPiece(): void {
    const length = readUint32(this.#head, 0) - (PIECE_HEAD_BYTES - LENGTH_BYTES);
    this.#pieceIndex = readUint32(this.#head, HEAD_BYTES);
    this.#pieceOffset = readUint32(this.#head, HEAD_BYTES + 4);
    const payload = this.#sink.admitPiece(this.#pieceIndex, this.#pieceOffset, length);
    assert(payload.length === length, `${payload.length} bytes for a payload of ${length}`);
    this.#frame = payload;
    this.#frameHave = 0;
    this.#isPiece = true;
    this.#expectHead();
  }

  /** `at` is behind the head. A message that lies whole in the chunk is a view on it. */
  #beginFrame(chunk: Uint8Array, at: number): number {
    const frameLength = LENGTH_BYTES + readUint32(this.#head, 0);
    const start = at - this.#headHave;
    const end = start + frameLength;
    if (start >= 0 && end <= chunk.length) {
      this.#expectHead();
      this.#emit(chunk.subarray(start, end));
      return end;
    }
    const frame = this.#allocateFrame();
    if (this.#frameHave === frame.length) this.#finishFrame(frame);
    return at;
  }

  #allocateFrame(): Uint8Array {
    const frame = Buffer.allocUnsafe(LENGTH_BYTES + readUint32(this.#head, 0));
    frame.set(this.#head.subarray(0, this.#headHave));
    this.#frame = frame;
    this.#frameHave = this.#headHave;
    this.#expectHead();
    return frame;
  }

  #fillFrame(frame: Uint8Array, chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + frame.length - this.#frameHave);
    copyBytes(chunk, at, end, frame, this.#frameHave);
    this.#frameHave += end - at;
    if (this.#frameHave === frame.length) this.#finishFrame(frame);
    return end;
  }

  #finishFrame(frame: Uint8Array): void {
    this.#frame = undefined;
    if (!this.#isPiece) {
      this.#emit(frame);
      return;
    }
    this.#isPiece = false;
    this.#framesDone += 1;
    this.#sink.onPiece(this.#pieceIndex, this.#pieceOffset, frame);
  }

  #emit(frame: Uint8Array): void {
    this.#framesDone += 1;
    this.#sink.onFrame(frame);
  }

  #expectHead(): void {
    this.#headHave = 0;
    this.#headNeed = LENGTH_BYTES;
  }

  /** At most 13 bytes of a message, so byte by byte. */
  #fillHead(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#headHave < this.#headNeed && at < chunk.length) {
      this.#head[this.#headHave] = chunk[at];
      this.#headHave += 1;
      at += 1;
    }
    return at;
  }
}
