/**
 * The pieces of something small, in memory: the packed piece layer of an image, which its node has in memory anyway and keeps
 * in a file of its own once it is whole.
 */
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import { assert, Bitfield, BufferPool } from '@bootswarm/stdx';
import { PieceShape } from './piece-shape.ts';
import type { PieceStore } from './piece-store.ts';

export interface MemoryStoreOptions {
  readonly metainfo: Pick<Metainfo, 'length' | 'pieceLength' | 'pieceCount'>;
  readonly layer: PieceLayer;
  /** Called once, when every piece is had; not from within the constructor. */
  readonly onWhole?: () => void;
}

/** As many pieces as are hashed or sent at a time; there are 64 at most. */
const SPARES_MAX = 8;

export class MemoryPieceStore implements PieceStore {
  readonly pieceCount: number;
  readonly have: Bitfield;
  readonly buffers: BufferPool;
  readonly #shape: PieceShape;
  readonly #layer: PieceLayer;
  readonly #onWhole: (() => void) | undefined;
  readonly #bytes: Uint8Array;

  constructor({ metainfo, layer, onWhole }: MemoryStoreOptions) {
    this.pieceCount = metainfo.pieceCount;
    this.buffers = new BufferPool(metainfo.pieceLength, SPARES_MAX);
    this.#shape = new PieceShape(metainfo);
    this.#layer = layer;
    this.#onWhole = onWhole;
    this.#bytes = new Uint8Array(metainfo.length);
    this.have = new Bitfield(metainfo.pieceCount);
    for (let index = 0; index < metainfo.pieceCount; index += 1) {
      if (layer.isZero(index)) this.have.set(index);
    }
  }

  /** The whole of it; only when every piece is had. */
  get bytes(): Uint8Array {
    assert(this.have.isFull, 'bytes of a store that is not whole');
    return this.#bytes;
  }

  readNow(pieceIndex: number, offset: number, target: Uint8Array): boolean {
    this.#shape.assertFrom(pieceIndex, offset, target.length);
    const start = this.#shape.offsetOf(pieceIndex) + offset;
    const end = start + target.length;
    for (let index = pieceIndex; this.#shape.offsetOf(index) < end; index += 1) {
      if (!this.have.has(index)) return false;
    }
    target.set(this.#bytes.subarray(start, end));
    return true;
  }

  async read(pieceIndex: number, offset: number, target: Uint8Array): Promise<boolean> {
    this.#shape.assertWithin(pieceIndex, offset, target.length);
    return this.readNow(pieceIndex, offset, target);
  }

  async write(pieceIndex: number, piece: Uint8Array): Promise<boolean> {
    this.#keep(pieceIndex, piece);
    this.buffers.give(piece);
    return true;
  }

  /** Takes over what is right of a copy that came another way; returns whether nothing is missing now. */
  adopt(bytes: Uint8Array): boolean {
    for (
      let index = 0;
      index < this.pieceCount && bytes.length === this.#shape.length;
      index += 1
    ) {
      if (this.have.has(index)) continue;
      const piece = bytes.subarray(this.#shape.offsetOf(index), this.#shape.endOf(index));
      if (this.#layer.verify(index, piece)) this.#keep(index, piece);
    }
    return this.have.isFull;
  }

  /** Nothing to do: whoever wants to keep the bytes takes them when they are whole. */
  async commit(): Promise<void> {}

  async close(): Promise<void> {}

  #keep(pieceIndex: number, piece: Uint8Array): void {
    this.#bytes.set(piece, this.#shape.offsetOf(pieceIndex));
    if (this.have.set(pieceIndex) && this.have.isFull) this.#onWhole?.();
  }
}
