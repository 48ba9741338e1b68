/** How long each message may be in a swarm of a given shape: the first thing known of a message, checked before memory. */
import { Bitfield, ProtocolError } from '@bootswarm/stdx';
import { HASHES_BYTES_MAX, HASHES_HEAD_BYTES } from './hash-request.ts';
import { MESSAGE_ID } from './message-ids.ts';

/** BEP 10 names no limit; handshakes of known clients are under 1 KiB, our largest batch is 32 KiB. */
export const EXTENDED_BYTES_MAX = 64 * 1024;
/** Messages with ids we do not know are read and dropped; this is what one may cost. */
const UNKNOWN_BYTES_MAX = 16 * 1024;

export class FrameLengths {
  readonly #min = new Uint32Array(256).fill(1);
  readonly #max = new Uint32Array(256).fill(UNKNOWN_BYTES_MAX);

  constructor(shape: { readonly pieceCount: number; readonly pieceLength: number }) {
    const id = MESSAGE_ID;
    this.#exactly(1, id.choke, id.unchoke, id.interested, id.notInterested);
    this.#exactly(1, id.haveAll, id.haveNone);
    this.#exactly(5, id.have, id.suggest, id.allowedFast);
    this.#exactly(1 + Bitfield.byteLength(shape.pieceCount), id.bitfield);
    this.#exactly(13, id.request, id.cancel, id.reject);
    this.#between(9 + 1, 9 + shape.pieceLength, id.piece);
    this.#exactly(3, id.port);
    this.#between(2, EXTENDED_BYTES_MAX, id.extended);
    this.#exactly(HASHES_HEAD_BYTES, id.hashRequest, id.hashReject);
    this.#between(HASHES_HEAD_BYTES, HASHES_HEAD_BYTES + HASHES_BYTES_MAX, id.hashes);
  }

  /** `length` counts the id byte, as on the wire. */
  check(id: number, length: number): void {
    if (length > this.#max[id]) throw new ProtocolError('message-too-long', { id, length });
    if (length < this.#min[id]) throw new ProtocolError('message-too-short', { id, length });
  }

  #exactly(length: number, ...ids: number[]): void {
    for (const id of ids) this.#between(length, length, id);
  }

  #between(min: number, max: number, id: number): void {
    this.#min[id] = min;
    this.#max[id] = max;
  }
}
