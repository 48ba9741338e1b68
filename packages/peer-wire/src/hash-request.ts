/** BEP 52's hash request, hashes and hash reject (messages 21 to 23): bytes to HashRequest and back. */
import { HASH_LENGTH, HASHES_MAX, type HashRequest } from '@bootswarm/metainfo';
import { assert } from '@bootswarm/stdx';
import { LENGTH_BYTES, MESSAGE_ID, readUint32, writeUint32 } from './message-ids.ts';

/** More layers than a tree over 2^53 bytes has. */
const PROOF_LAYERS_MAX = 64;
/** The id byte, the root and four numbers. */
export const HASHES_HEAD_BYTES = 1 + HASH_LENGTH + 4 * 4;
export const HASHES_BYTES_MAX = HASH_LENGTH * (HASHES_MAX + PROOF_LAYERS_MAX);

/** `frame` has its exact length; the root is a view on it. Whether its numbers make sense is for who answers. */
export function parseHashRequest(frame: Uint8Array): HashRequest {
  const numbersAt = LENGTH_BYTES + 1 + HASH_LENGTH;
  return {
    piecesRoot: frame.subarray(LENGTH_BYTES + 1, numbersAt),
    baseLayer: readUint32(frame, numbersAt),
    index: readUint32(frame, numbersAt + 4),
    length: readUint32(frame, numbersAt + 8),
    proofLayers: readUint32(frame, numbersAt + 12),
  };
}

/** The frame that answers the request in `frame`: its numbers repeated, then `hashes`; without `hashes` a reject. */
export function encodeHashAnswer(frame: Uint8Array, hashes: Uint8Array | undefined): Uint8Array {
  const hashesLength = hashes?.length ?? 0;
  assert(
    hashesLength % HASH_LENGTH === 0 && hashesLength <= HASHES_BYTES_MAX,
    `an answer of ${hashesLength} bytes of hashes`,
  );
  const answer = new Uint8Array(LENGTH_BYTES + HASHES_HEAD_BYTES + hashesLength);
  answer.set(frame.subarray(0, LENGTH_BYTES + HASHES_HEAD_BYTES));
  writeUint32(answer, 0, HASHES_HEAD_BYTES + hashesLength);
  answer[LENGTH_BYTES] = hashes === undefined ? MESSAGE_ID.hashReject : MESSAGE_ID.hashes;
  if (hashes !== undefined) answer.set(hashes, LENGTH_BYTES + HASHES_HEAD_BYTES);
  return answer;
}
