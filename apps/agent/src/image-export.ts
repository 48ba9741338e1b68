/** One image under one export name, as the NBD server sees it; reads through it are counted for the VM in the name. */
import { type ImageReader, noReadBytes, type ReadBytes } from '@bootswarm/swarm-driver';
import type { ExportBinding, ForesightedSource } from './nbd/export-source.ts';

/** NBD wants a power of two up to 32 MiB; pieces are 64 KiB to 16 MiB, and a read of one piece is the cheapest. */
export class ImageExport implements ExportBinding {
  readonly name: string;
  readonly description: string;
  readonly length: number;
  readonly preferredBlockLength: number;
  readonly read: ReadBytes = noReadBytes();
  readonly #reader: ImageReader;
  #connections = 0;

  constructor(name: string, reader: ImageReader) {
    const { metainfo } = reader.driver;
    this.name = name;
    this.description = metainfo.name;
    this.length = metainfo.length;
    this.preferredBlockLength = metainfo.pieceLength;
    this.#reader = reader;
  }

  /** NBD clients that read through it now. */
  get connections(): number {
    return this.#connections;
  }

  isZeroAt(offset: number): boolean {
    return this.#reader.driver.layer.isZero(Math.floor(offset / this.preferredBlockLength));
  }

  extentEnd(offset: number, limit: number): number {
    const { layer } = this.#reader.driver;
    const length = this.preferredBlockLength;
    let pieceIndex = Math.floor(offset / length);
    const isZero = layer.isZero(pieceIndex);
    do pieceIndex += 1;
    while (pieceIndex * length < limit && layer.isZero(pieceIndex) === isZero);
    return Math.min(limit, pieceIndex * length);
  }

  open(): ForesightedSource {
    this.#connections += 1;
    const guest = this.#reader.guest(this.read);
    return {
      readNow: (offset, target) => guest.readNow(offset, target),
      readAhead: (offset, target) => guest.readAhead(offset, target),
      took: (offset, length) => guest.took(offset, length),
      read: (offset, target, done) => guest.read(offset, target, done),
      prefetch: (offset, length) => guest.prefetch(offset, length),
      close: () => {
        this.#connections -= 1;
        guest.close();
      },
    };
  }
}
