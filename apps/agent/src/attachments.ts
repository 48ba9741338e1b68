/** Which images the operator attached, kept across restarts: QEMU reconnects to an export that must be there again. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '@bootswarm/stdx';

export class Attachments {
  readonly #path: string;
  #images: ReadonlySet<string>;

  constructor(cacheDir: string) {
    this.#path = join(cacheDir, 'attached.json');
    this.#images = new Set(read(this.#path));
  }

  get images(): Iterable<string> {
    return this.#images;
  }

  has(imageId: string): boolean {
    return this.#images.has(imageId);
  }

  set(imageId: string, isAttached: boolean): void {
    if (this.#images.has(imageId) === isAttached) return;
    const images = new Set(this.#images);
    if (isAttached) images.add(imageId);
    else images.delete(imageId);
    writeFileSync(`${this.#path}.tmp`, JSON.stringify({ images: [...images] }), { flush: true });
    renameSync(`${this.#path}.tmp`, this.#path);
    // Last: what could not be written is tried again the next time.
    this.#images = images;
  }
}

/** A file that was damaged costs an `attach` again, not the start of the agent. */
function read(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  try {
    const { images } = JSON.parse(text) as { images?: unknown };
    return Array.isArray(images) ? images.filter((each) => typeof each === 'string') : [];
  } catch {
    return [];
  }
}
