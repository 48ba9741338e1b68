/**
 * Keeps what was learned of an image's boots in the image's directory: at most one write a second and image, each in one step,
 * so that a crash costs the last second. It goes with the image. What is in it is boot-order-file.ts's matter.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, messageOf } from '@bootswarm/stdx';
import type { KindRecord } from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import {
  BOOT_ORDER_BYTES_MAX,
  BOOT_ORDER_FILE,
  decodeBootOrder,
  encodeBootOrder,
} from './boot-order-file.ts';
import type { Catalogue } from './catalogue.ts';
import { replaceFile } from './durable-file.ts';

const WRITE_INTERVAL_MS = 1_000;

export class BootOrderStore {
  readonly #catalogue: Catalogue;
  readonly #log: Logger;
  /** What to write of an image that has changed since its last write. */
  readonly #toWrite = new Map<string, () => readonly KindRecord[]>();
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(catalogue: Catalogue, log: Logger) {
    this.#catalogue = catalogue;
    this.#log = log;
  }

  /** What was kept of an image; nothing when there is nothing, or nothing that can be read. */
  async read(image: string): Promise<KindRecord[]> {
    const { path, metainfo } = this.#catalogue.find(image).directory;
    try {
      const text = await readBounded(join(path, BOOT_ORDER_FILE), BOOT_ORDER_BYTES_MAX);
      return decodeBootOrder(text, metainfo.pieceCount);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') {
        this.#log.warn({ image, error: messageOf(error) }, 'boot order is learned anew');
      }
      return [];
    }
  }

  /** `records` is called when it is time to write. */
  changed(image: string, records: () => readonly KindRecord[]): void {
    this.#toWrite.set(image, records);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#writeAll());
    }, WRITE_INTERVAL_MS);
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    for (const [image, records] of [...this.#toWrite]) {
      this.#toWrite.delete(image);
      if (!this.#catalogue.has(image)) continue;
      const { path } = this.#catalogue.find(image).directory;
      try {
        await replaceFile(join(path, BOOT_ORDER_FILE), encodeBootOrder(records()), 0o644);
      } catch (error) {
        // Withdrawn meanwhile, or a full disk: the next boot is another chance.
        this.#log.warn({ image, error: messageOf(error) }, 'boot order not kept');
      }
    }
  }
}

async function readBounded(path: string, bytesMax: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > bytesMax) throw new Error(`it has ${size} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
