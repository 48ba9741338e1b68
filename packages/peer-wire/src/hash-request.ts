/** BEP 52's hash request, hashes and hash reject (messages 21 to 23): bytes to HashRequest and back. */
import { assert } from '@bootswarm/stdx';
import { LENGTH_BYTES, MESSAGE_ID, readUint32, writeUint32 } from './message-ids.ts';
import type { HashRequest } from './wire-swarm.ts';

const HASH_BYTES = 32;
/** "Requests SHOULD NOT be for more than 512 hashes." */
const HASHES_MAX = 512;
/** More layers than a tree over 2^53 bytes has. */
const PROOF_LAYERS_MAX = 64;
/** The id byte, the root and four numbers. */
export const HASHES_HEAD_BYTES = 1 + HASH_BYTES + 4 * 4;
export const HASHES_BYTES_MAX = HASH_BYTES * (HASHES_MAX + PROOF_LAYERS_MAX);

/** `frame` has its exact length. Undefined when the numbers break BEP 52's rules: the answer is a reject. */
export function parseHashRequest(frame: Uint8Array): HashRequest | undefined {
  const numbersAt = LENGTH_BYTES + 1 + HASH_BYTES;
  const request: HashRequest = {
    piecesRoot: frame.slice(LENGTH_BYTES + 1, numbersAt),
    baseLayer: readUint32(frame, numbersAt),
    index: readUint32(frame, numbersAt + 4),
    length: readUint32(frame, numbersAt + 8),
    proofLayers: readUint32(frame, numbersAt + 12),
  };
  const { length } = request;
  const isPowerOfTwo = (length & (length - 1)) === 0;
  if (length < 2 || length > HASHES_MAX || !isPowerOfTwo) return undefined;
  if (request.index % length !== 0) return undefined;
  if (request.baseLayer > PROOF_LAYERS_MAX || request.proofLayers > PROOF_LAYERS_MAX) {
    return undefined;
  }
  return request;
}

/** The frame that answers the request in `frame`: its numbers repeated, then `hashes`; without `hashes` a reject. */
export function encodeHashAnswer(frame: Uint8Array, hashes: Uint8Array | undefined): Uint8Array {
  const hashesLength = hashes?.length ?? 0;
  assert(
    hashesLength % HASH_BYTES === 0 && hashesLength <= HASHES_BYTES_MAX,
    `an answer of ${hashesLength} bytes of hashes`,
  );
  const answer = new Uint8Array(LENGTH_BYTES + HASHES_HEAD_BYTES + hashesLength);
  answer.set(frame.subarray(0, LENGTH_BYTES + HASHES_HEAD_BYTES));
  writeUint32(answer, 0, HASHES_HEAD_BYTES + hashesLength);
  answer[LENGTH_BYTES] = hashes === undefined ? MESSAGE_ID.hashReject : MESSAGE_ID.hashes;
  if (hashes !== undefined) answer.set(hashes, LENGTH_BYTES + HASHES_HEAD_BYTES);
  return answer;
}
