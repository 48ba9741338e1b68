/** Where pieces lie in the flat image: only the last one may be short. */
import { assert } from '@bootswarm/stdx';

export class PieceShape {
  /** Bytes of the image. */
  readonly length: number;
  readonly pieceLength: number;
  readonly pieceCount: number;

  constructor(image: { length: number; pieceLength: number; pieceCount: number }) {
    assert(
      image.pieceCount === Math.ceil(image.length / image.pieceLength) && image.pieceCount > 0,
      `${image.pieceCount} pieces of ${image.pieceLength} for ${image.length} bytes`,
    );
    this.length = image.length;
    this.pieceLength = image.pieceLength;
    this.pieceCount = image.pieceCount;
  }

  offsetOf(pieceIndex: number): number {
    return pieceIndex * this.pieceLength;
  }

  bytesOf(pieceIndex: number): number {
    return Math.min(this.pieceLength, this.length - pieceIndex * this.pieceLength);
  }

  /** Where the piece ends in the image. */
  endOf(pieceIndex: number): number {
    return this.offsetOf(pieceIndex) + this.bytesOf(pieceIndex);
  }

  /** Asserts that [offset, offset + byteCount) lies within one piece. */
  assertWithin(pieceIndex: number, offset: number, byteCount: number): void {
    assert(
      pieceIndex >= 0 &&
        pieceIndex < this.pieceCount &&
        offset >= 0 &&
        offset + byteCount <= this.bytesOf(pieceIndex),
      `piece ${pieceIndex} of ${this.pieceCount}: ${byteCount} bytes at ${offset}`,
    );
  }

  /** Asserts that byteCount bytes from `offset` of a piece on are in the image. */
  assertFrom(pieceIndex: number, offset: number, byteCount: number): void {
    assert(
      pieceIndex >= 0 &&
        offset >= 0 &&
        offset < this.pieceLength &&
        this.offsetOf(pieceIndex) + offset + byteCount <= this.length,
      `piece ${pieceIndex} of ${this.pieceCount}: ${byteCount} bytes from ${offset} on`,
    );
  }
}
