/**
 * Which files of the FUSE directory are open, as files of RUN/fuse-open named HANDLE.IMAGEID: the kernel tells of each open(2)
 * and its end once, and an agent that takes over from one that died has to know which images are still read. Whoever mounts
 * empties it.
 */
import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export interface OpenFileMark {
  readonly handle: number;
  readonly imageId: string;
}

const MARK = /^(\d{1,16})\.([0-9a-f]{40})$/;

export function openFilesDir(runDir: string): string {
  return join(runDir, 'fuse-open');
}

export class OpenFiles {
  readonly #directory: string;
  readonly #images = new Map<number, string>();

  constructor(runDir: string) {
    this.#directory = openFilesDir(runDir);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#directory)) {
      const [, handle, imageId] = MARK.exec(name) ?? [];
      if (handle !== undefined) this.#images.set(Number(handle), imageId);
    }
  }

  get size(): number {
    return this.#images.size;
  }

  /** Of this run and of the ones before, in no order. */
  marks(): OpenFileMark[] {
    return [...this.#images].map(([handle, imageId]) => ({ handle, imageId }));
  }

  imageOf(handle: number): string | undefined {
    return this.#images.get(handle);
  }

  isOpen(imageId: string): boolean {
    for (const each of this.#images.values()) if (each === imageId) return true;
    return false;
  }

  /** There is when it returns, so that who dies next has told of it. */
  add(handle: number, imageId: string): void {
    this.#images.set(handle, imageId);
    closeSync(openSync(this.#path(handle, imageId), 'w', 0o600));
  }

  delete(handle: number): void {
    const imageId = this.#images.get(handle);
    if (imageId === undefined) return;
    this.#images.delete(handle);
    rmSync(this.#path(handle, imageId), { force: true });
  }

  #path(handle: number, imageId: string): string {
    return join(this.#directory, `${handle}.${imageId}`);
  }
}
