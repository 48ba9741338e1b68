/**
 * The pieces of an original image, a raw file that nobody should change: all of them are held from the start, and each is
 * verified the first time it is read. For the origin, which must not give bytes to a swarm that are not the published ones.
 */
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import {
  assert,
  Bitfield,
  type BufferPool,
  copyBytes,
  messageOf,
  OperatorError,
} from '@bootswarm/stdx';
import { nodeDisk } from './node-disk.ts';
import { pieceBuffersOf } from './piece-buffers.ts';
import { PieceShape } from './piece-shape.ts';
import type { PieceStore } from './piece-store.ts';
import { PieceVerifier } from './piece-verifier.ts';
import type { OnStoreEvent } from './store-event.ts';
import { type FileIdentity, readWholeSync, type StoreDisk, type StoreFile } from './store-file.ts';

export interface OriginalStoreOptions {
  readonly path: string;
  readonly metainfo: Pick<Metainfo, 'length' | 'pieceLength' | 'pieceCount'>;
  readonly layer: PieceLayer;
  readonly onEvent: OnStoreEvent;
  /** What the file was when it was hashed; a file that has changed since is refused. */
  readonly identity?: FileIdentity;
  readonly disk?: StoreDisk;
}

export class OriginalPieceStore implements PieceStore {
  readonly pieceCount: number;
  readonly have: Bitfield;
  readonly buffers: BufferPool;
  readonly #path: string;
  readonly #layer: PieceLayer;
  readonly #onEvent: OnStoreEvent;
  readonly #shape: PieceShape;
  readonly #file: StoreFile;
  readonly #verifier: PieceVerifier;
  #identity: FileIdentity;
  #verified: Bitfield;
  #isClosed = false;

  /** Throws OperatorError: `original-unreadable`, or `original-changed` when size or identity are not the published ones. */
  static async open(options: OriginalStoreOptions): Promise<OriginalPieceStore> {
    const { path, metainfo, identity, disk = nodeDisk } = options;
    let file: StoreFile;
    try {
      file = await disk.open(path, 'read');
    } catch (error) {
      const what = `cannot read the original image ${path}: ${messageOf(error)}`;
      const hint = 'Put the file back, or withdraw the image.';
      throw new OperatorError('original-unreadable', what, hint, { cause: error });
    }
    const found = file.identity();
    const isSame = identity === undefined || isSameFile(found, identity);
    if (found.size === metainfo.length && isSame) {
      return new OriginalPieceStore(options, file, found);
    }
    await file.close();
    throw new OperatorError(
      'original-changed',
      `the original image ${path} was changed after it was published`,
      'Restore the file, or withdraw the image and publish the new file.',
    );
  }

  private constructor(options: OriginalStoreOptions, file: StoreFile, identity: FileIdentity) {
    const { metainfo, layer } = options;
    assert(layer.pieceCount === metainfo.pieceCount, 'layer and metainfo disagree');
    this.#path = options.path;
    this.#layer = layer;
    this.#onEvent = options.onEvent;
    this.#shape = new PieceShape(metainfo);
    this.#file = file;
    this.#identity = identity;
    this.buffers = pieceBuffersOf(metainfo.pieceLength);
    this.#verifier = new PieceVerifier(file, this.#shape, layer, this.buffers);
    this.#verified = new Bitfield(metainfo.pieceCount);
    this.pieceCount = metainfo.pieceCount;
    this.have = Bitfield.full(metainfo.pieceCount);
  }

  readNow(pieceIndex: number, offset: number, target: Uint8Array): boolean {
    this.#shape.assertFrom(pieceIndex, offset, target.length);
    let index = pieceIndex;
    let from = offset;
    for (let done = 0; done < target.length; index += 1, from = 0) {
      const end = Math.min(target.length, done + this.#shape.bytesOf(index) - from);
      if (!this.#readPartNow(index, from, target.subarray(done, end))) return false;
      done = end;
    }
    return true;
  }

  async read(pieceIndex: number, offset: number, target: Uint8Array): Promise<boolean> {
    this.#shape.assertWithin(pieceIndex, offset, target.length);
    if (this.readNow(pieceIndex, offset, target)) return true;
    if (this.#isClosed || !this.have.has(pieceIndex)) return false;
    const identity = this.#identity;
    const result = await this.#verifier.verify(pieceIndex);
    if (result.type === 'verified') {
      // The next readNow() sees a change made during this read; one seen already makes the file suspect now.
      if (this.#identity === identity) this.#verified.set(pieceIndex);
      // At once: the bytes are only lent.
      copyBytes(result.bytes, offset, offset + target.length, target, 0);
      return true;
    }
    if (result.reason === 'read-failed') {
      // Kept: a network file system may come back, and the origin may be the only one to have the piece.
      this.#onEvent({ type: 'read-failed', pieceIndex, error: result.error });
    } else if (this.have.clear(pieceIndex)) {
      this.#onEvent({ type: 'piece-lost', pieceIndex, reason: 'damaged-original' });
    }
    return false;
  }

  write(pieceIndex: number): never {
    assert(false, `write of piece ${pieceIndex} to an original image`);
  }

  /** Nothing to do: nothing is ever written. */
  async commit(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#verifier.idle();
    await this.#file.close();
  }

  #readPartNow(pieceIndex: number, offset: number, target: Uint8Array): boolean {
    if (this.#isClosed || !this.have.has(pieceIndex)) return false;
    if (this.#layer.isZero(pieceIndex)) {
      target.fill(0);
      return true;
    }
    try {
      this.#checkIdentity();
      if (!this.#verified.has(pieceIndex)) return false;
      return readWholeSync(this.#file, target, this.#shape.offsetOf(pieceIndex) + offset);
    } catch {
      return false; // read() finds out, and reports it.
    }
  }

  /** One fstat, half a microsecond, before every read: a file edited in place must prove each piece again. */
  #checkIdentity(): void {
    const found = this.#file.identity();
    if (isSameFile(found, this.#identity)) return;
    this.#identity = found;
    this.#verified = new Bitfield(this.pieceCount);
    this.#onEvent({ type: 'original-changed', path: this.#path });
  }
}

function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino && a.dev === b.dev;
}
