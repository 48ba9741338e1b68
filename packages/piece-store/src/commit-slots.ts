/**
 * The durable bitfield, `have.bits`: two slots written in turn, so that a write torn by a power cut costs the slot being
 * written and never the other. Decides which slot to believe. The caller has flushed the data before it calls write().
 * Format: docs/protocol/cache-file.md.
 */
import { createHash } from 'node:crypto';
import { assert, Bitfield } from '@bootswarm/stdx';
import type { DiscardReason } from './store-event.ts';
import { readWhole, type StoreFile, writeWhole } from './store-file.ts';

/** What the bits are about: a slot that names anything else is not ours. */
export interface SlotImage {
  /** 32 bytes. */
  readonly infoHash: Uint8Array;
  readonly pieceCount: number;
  readonly pieceLength: number;
}

export type Slot =
  | { readonly type: 'empty' }
  | { readonly type: 'damaged' }
  | { readonly type: 'unknown-version' }
  | { readonly type: 'other-image' }
  | { readonly type: 'claims'; readonly generation: number; readonly bits: Bitfield };

export interface LoadedSlots {
  /** Pieces the newest believable slot vouches for; none when nothing is believable. */
  readonly bits: Bitfield;
  /** Set when there were records and none of them was believed. */
  readonly discarded?: DiscardReason;
}

const MAGIC = 'bsw-have';
const FORMAT_VERSION = 1;
/** magic 8, version 4, pieceCount 4, pieceLength 4, zero 4, generation 8, infoHash 32, bits' hash 32, header's hash 32. */
const HEADER_BYTES = 128;
const HEADER_HASH_AT = 96;
/** A slot starts on its own block, so that writing one cannot tear the other. */
const BLOCK_BYTES = 4096;

export class CommitSlots {
  readonly #file: StoreFile;
  readonly #image: SlotImage;
  readonly #slotBytes: number;
  #generation = 0;
  #activeSlot: 0 | 1 | undefined;

  constructor(file: StoreFile, image: SlotImage) {
    this.#file = file;
    this.#image = image;
    this.#slotBytes = slotBytes(image.pieceCount);
  }

  /** The generation of the newest slot known to be durable; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** Reads both slots. Empties the file when there are records in it and none can be believed. */
  async load(): Promise<LoadedSlots> {
    const slots: [Slot, Slot] = [await this.#read(0), await this.#read(1)];
    // A foreign slot counts even if the other looks right: its writer may have changed what the data means.
    const foreign = slots.find(
      (slot) => slot.type === 'unknown-version' || slot.type === 'other-image',
    );
    const newest = newestOf(slots);
    if (foreign === undefined && newest !== undefined && (await this.#flushed())) {
      this.#generation = newest.claims.generation;
      this.#activeSlot = newest.slot;
      return { bits: newest.claims.bits };
    }
    const bits = new Bitfield(this.#image.pieceCount);
    if (slots.every(({ type }) => type === 'empty')) return { bits };
    await this.#file.truncate(0);
    return { bits, discarded: foreign?.type ?? 'damaged' };
  }

  /** Takes the space of both slots, so that a full disk can still commit what it holds. Throws what the disk throws. */
  async reserve(): Promise<void> {
    const { size } = this.#file.identity();
    const missing = 2 * this.#slotBytes - size;
    if (missing > 0) await writeWhole(this.#file, new Uint8Array(missing), size);
  }

  /** Writes the slot that is not the newest, and flushes it. After a throw the newest is still the one before. */
  async write(bits: Bitfield, generation: number): Promise<void> {
    assert(generation > this.#generation, `generation ${generation} after ${this.#generation}`);
    const slot = this.#activeSlot === 0 ? 1 : 0;
    const bytes = encodeSlot(this.#image, generation, bits);
    await writeWhole(this.#file, bytes, slot * this.#slotBytes);
    await this.#file.datasync();
    this.#activeSlot = slot;
    this.#generation = generation;
  }

  /**
   * The newest slot may come from the page cache only, when its writer was killed before its flush. Written over as it
   * is then, the other slot could be the only one on the disk.
   */
  async #flushed(): Promise<boolean> {
    try {
      await this.#file.datasync();
      return true;
    } catch {
      return false;
    }
  }

  async #read(slot: 0 | 1): Promise<Slot> {
    const start = slot * this.#slotBytes;
    const available = Math.max(0, this.#file.identity().size - start);
    const bytes = new Uint8Array(Math.min(this.#slotBytes, available));
    try {
      if (await readWhole(this.#file, bytes, start)) return decodeSlot(this.#image, bytes);
    } catch {
      // As good as damaged: the other slot decides, and this one is written next.
    }
    return { type: 'damaged' };
  }
}

/** Bytes of one slot: header and bits, in whole blocks. */
export function slotBytes(pieceCount: number): number {
  const used = HEADER_BYTES + Bitfield.byteLength(pieceCount);
  return Math.ceil(used / BLOCK_BYTES) * BLOCK_BYTES;
}

export function encodeSlot(image: SlotImage, generation: number, bits: Bitfield): Uint8Array {
  const bytes = new Uint8Array(slotBytes(image.pieceCount));
  const view = new DataView(bytes.buffer);
  const bitBytes = bits.toBytes();
  bytes.set(Buffer.from(MAGIC, 'latin1'), 0);
  view.setUint32(8, FORMAT_VERSION);
  view.setUint32(12, image.pieceCount);
  view.setUint32(16, image.pieceLength);
  view.setBigUint64(24, BigInt(generation));
  bytes.set(image.infoHash, 32);
  bytes.set(sha256(bitBytes), 64);
  bytes.set(sha256(bytes.subarray(0, HEADER_HASH_AT)), HEADER_HASH_AT);
  bytes.set(bitBytes, HEADER_BYTES);
  return bytes;
}

/** `bytes` is one slot, shorter when the file ends early. */
export function decodeSlot(image: SlotImage, bytes: Uint8Array): Slot {
  if (bytes.every((byte) => byte === 0)) return { type: 'empty' };
  const bitsEnd = HEADER_BYTES + Bitfield.byteLength(image.pieceCount);
  if (bytes.length < bitsEnd) return { type: 'damaged' };
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (header.toString('latin1', 0, 8) !== MAGIC) return { type: 'damaged' };
  // Before the version is read: every version keeps magic, version and this hash in their places.
  if (!sha256(header.subarray(0, HEADER_HASH_AT)).equals(header.subarray(HEADER_HASH_AT))) {
    return { type: 'damaged' };
  }
  if (header.readUInt32BE(8) !== FORMAT_VERSION) return { type: 'unknown-version' };
  if (!header.subarray(32, 64).equals(image.infoHash)) return { type: 'other-image' };
  const bitBytes = bytes.subarray(HEADER_BYTES, bitsEnd);
  const generation = Number(header.readBigUInt64BE(24));
  const bits = Bitfield.fromBytes(image.pieceCount, bitBytes);
  if (
    bits === undefined ||
    header.readUInt32BE(12) !== image.pieceCount ||
    header.readUInt32BE(16) !== image.pieceLength ||
    generation === 0 ||
    !Number.isSafeInteger(generation) ||
    !sha256(bitBytes).equals(header.subarray(64, 96))
  ) {
    return { type: 'damaged' };
  }
  return { type: 'claims', generation, bits };
}

function newestOf(slots: readonly [Slot, Slot]) {
  const [first, second] = slots;
  if (second.type === 'claims') {
    if (first.type !== 'claims' || second.generation > first.generation) {
      return { slot: 1 as const, claims: second };
    }
  }
  return first.type === 'claims' ? { slot: 0 as const, claims: first } : undefined;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
