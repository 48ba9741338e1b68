/**
 * The pending log: which pieces were written since the last commit, so that kill -9 loses none of them. Two files taken in
 * turn: the pieces that commit g will make durable are in have.log.(g mod 2), which is emptied once g is durable, while
 * commit g + 1 already collects its pieces in the other. Never flushed: after a power cut it may hold anything, and an
 * entry is therefore only a claim. Format: docs/protocol/cache-file.md.
 */
import { hash } from 'node:crypto';
import { readWhole, type StoreFile, writeWhole } from './store-file.ts';

export interface LoggedPieces {
  /** Without duplicates, in the order written. */
  readonly pieceIndexes: readonly number[];
  /** The highest generation named by an entry; 0 when there is none. */
  readonly generationMax: number;
}

/** pieceIndex 4, generation 8, checksum 8. */
export const ENTRY_BYTES = 20;
const CHECKSUM_AT = 12;

export class HaveLog {
  readonly #files: readonly [StoreFile, StoreFile];
  readonly #infoHash: Uint8Array;
  readonly #pieceCount: number;
  /** Where the next entry goes. */
  readonly #ends = [0, 0];

  constructor(
    files: readonly [StoreFile, StoreFile],
    image: { infoHash: Uint8Array; pieceCount: number },
  ) {
    this.#files = files;
    this.#infoHash = image.infoHash;
    this.#pieceCount = image.pieceCount;
  }

  /** Pieces of generations after the committed one. Ignores every entry that does not check. Throws when unreadable. */
  async load(committed: number): Promise<LoggedPieces> {
    const pieceIndexes = new Set<number>();
    let generationMax = 0;
    for (const side of [0, 1] as const) {
      const { size } = this.#files[side].identity();
      // Each piece is logged about once between two commits; anything far beyond that is not our writing.
      const entryCount = Math.min(Math.floor(size / ENTRY_BYTES), 2 * this.#pieceCount + 4096);
      const bytes = new Uint8Array(entryCount * ENTRY_BYTES);
      this.#ends[side] = bytes.length;
      if (!(await readWhole(this.#files[side], bytes, 0))) continue;
      for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
        const entry = decodeEntry(this.#infoHash, bytes.subarray(at, at + ENTRY_BYTES), committed);
        if (entry === undefined || entry.pieceIndex >= this.#pieceCount) continue;
        generationMax = Math.max(generationMax, entry.generation);
        pieceIndexes.add(entry.pieceIndex);
      }
    }
    return { pieceIndexes: [...pieceIndexes], generationMax };
  }

  /** Notes that the data of these pieces is written, to be made durable by commit `generation`. */
  async append(generation: number, pieceIndexes: readonly number[]): Promise<void> {
    const side = generation % 2;
    const bytes = new Uint8Array(pieceIndexes.length * ENTRY_BYTES);
    for (const [index, pieceIndex] of pieceIndexes.entries()) {
      bytes.set(encodeEntry(this.#infoHash, pieceIndex, generation), index * ENTRY_BYTES);
    }
    await writeWhole(this.#files[side], bytes, this.#ends[side]);
    this.#ends[side] += bytes.length;
  }

  /** Empties the file of a commit that is now durable. The other may be taking entries of the next one: left alone. */
  async empty(committed: number): Promise<void> {
    await this.#truncate((committed % 2) as 0 | 1);
  }

  /** Forgets every entry. Not while an append is under way. */
  async reset(): Promise<void> {
    await this.#truncate(0);
    await this.#truncate(1);
  }

  async #truncate(side: 0 | 1): Promise<void> {
    if (this.#ends[side] === 0) return;
    try {
      await this.#files[side].truncate(0);
      this.#ends[side] = 0;
    } catch {
      // Costs only space and a little reading: entries of past generations are skipped, and any other is only a claim.
    }
  }
}

export function encodeEntry(
  infoHash: Uint8Array,
  pieceIndex: number,
  generation: number,
): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, pieceIndex);
  view.setBigUint64(4, BigInt(generation));
  bytes.set(checksum(infoHash, bytes), CHECKSUM_AT);
  return bytes;
}

/** Undefined when the checksum is wrong or the generation is not after `committed`. */
function decodeEntry(infoHash: Uint8Array, bytes: Uint8Array, committed: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, ENTRY_BYTES);
  const generation = Number(view.getBigUint64(4));
  if (generation <= committed || !Number.isSafeInteger(generation)) return undefined;
  if (!checksum(infoHash, bytes).equals(bytes.subarray(CHECKSUM_AT))) return undefined;
  return { pieceIndex: view.getUint32(0), generation };
}

/** Keyed by the image, so that an entry of another image does not check. */
function checksum(infoHash: Uint8Array, entry: Uint8Array): Buffer {
  // In one call: a hash object for each entry costs as much as a tenth of a piece.
  const digest = hash(
    'sha256',
    Buffer.concat([infoHash, entry.subarray(0, CHECKSUM_AT)]),
    'buffer',
  );
  return digest.subarray(0, ENTRY_BYTES - CHECKSUM_AT);
}
