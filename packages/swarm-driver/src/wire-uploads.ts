/**
 * The uploads that the engine has ordered on one wire: each piece is read when the wire takes it and no sooner, so that neither
 * large pieces nor many at once pile up in memory. What to upload, and in which order, the engine has decided.
 */
import type { PeerWire } from '@bootswarm/peer-wire';
import type { PieceStore } from '@bootswarm/piece-store';
import type { SwarmInput } from '@bootswarm/swarm-proto';

export type Upload = Extract<SwarmInput<unknown>, { type: 'uploaded' }>;

export interface WireUploadsOwner {
  /** Answered, or `isSent` is false; every upload once. */
  onUploaded(upload: Upload): void;
  /** The wire took the upload, and is above its high mark. */
  onCongested(): void;
  /** The store turned out not to have this piece. */
  onLost(pieceIndex: number): void;
}

interface WaitingUpload {
  readonly upload: Upload;
  /** The store has read the piece once for this upload, when the wire took nothing. */
  readonly wasRead: boolean;
}

export class WireUploads {
  readonly #wire: PeerWire;
  readonly #store: PieceStore;
  readonly #owner: WireUploadsOwner;
  /** At most uploadsInHandMax of the engine. */
  readonly #waiting: WaitingUpload[] = [];

  constructor(wire: PeerWire, store: PieceStore, owner: WireUploadsOwner) {
    this.#wire = wire;
    this.#store = store;
    this.#owner = owner;
  }

  add(upload: Upload): void {
    this.#waiting.push({ upload, wasRead: false });
    this.#pump();
  }

  onDrain(): void {
    this.#pump();
  }

  #pump(): void {
    while (!this.#wire.isCongested) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#send(next);
    }
  }

  #send(next: WaitingUpload): void {
    const { upload, wasRead } = next;
    const { pieceIndex, offset, length } = upload;
    if (this.#wire.sendPiece(this.#store, pieceIndex, offset, length)) this.#sent(upload);
    // Dropped from memory again before the wire took it: the peer asks somebody else.
    else if (wasRead) this.#owner.onUploaded({ ...upload, isSent: false });
    else this.#read(next);
  }

  #sent(upload: Upload): void {
    if (this.#wire.isCongested) this.#owner.onCongested();
    this.#owner.onUploaded(upload);
  }

  /** From the disk, verified on its first use. */
  #read(next: WaitingUpload): void {
    const { buffers } = this.#store;
    const { pieceIndex, offset, length } = next.upload;
    const bytes = length === buffers.length ? buffers.take() : Buffer.allocUnsafeSlow(length);
    this.#store.read(pieceIndex, offset, bytes).then(
      (isHeld) => {
        if (isHeld) this.#onRead(next, bytes);
        buffers.give(bytes);
        if (isHeld) return;
        this.#owner.onLost(pieceIndex);
        this.#owner.onUploaded({ ...next.upload, isSent: false });
      },
      () => this.#owner.onUploaded({ ...next.upload, isSent: false }),
    );
  }

  #onRead(next: WaitingUpload, payload: Uint8Array): void {
    if (this.#wire.isCongested) {
      // Read again when it is its turn, so that its memory does not wait with it.
      this.#waiting.unshift({ ...next, wasRead: true });
      return;
    }
    const { pieceIndex, offset, length } = next.upload;
    this.#wire.send({ type: 'piece', pieceIndex, offset, length, payload });
    this.#sent(next.upload);
  }
}
