/** The bytes of an image for whom wants them themselves and is no VM: a copy to a file, or the Glance proxy. */
import type { GuestReader } from '@bootswarm/swarm-driver';

/** Reads the image from its beginning to its end, or any part; to be closed. */
export interface ImageCopy {
  readonly length: number;
  /** Fills `target`; resolves to false, with `target` undefined, when `signal` is aborted before it is filled. */
  read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<boolean>;
  /** Has it fetched, behind what guests wait for. */
  prefetch(offset: number, length: number): void;
  close(): void;
}

export function imageCopyOf(reader: GuestReader, length: number, onClose: () => void): ImageCopy {
  let isOpen = true;
  return {
    length,
    read: (offset, target, signal) => readWith(reader, offset, target, signal),
    prefetch: (offset, size) => reader.prefetch(offset, size),
    close: () => {
      if (isOpen) onClose();
      isOpen = false;
    },
  };
}

function readWith(
  reader: GuestReader,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal,
): Promise<boolean> {
  if (reader.readNow(offset, target)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const stop = () => {
      read.cancel();
      resolve(false);
    };
    const read = reader.read(offset, target, () => {
      signal.removeEventListener('abort', stop);
      resolve(true);
    });
    // It may be filled by now, or not be needed any more.
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
