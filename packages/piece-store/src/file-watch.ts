/**
 * Notices that somebody else wrote to a file that is ours alone: its time of change is another one than after our last write.
 * What is written while we write ourselves, or in the same tick of the kernel's clock (4 ms), is not seen.
 */
import type { FileIdentity, StoreFile } from './store-file.ts';

export class FileWatch {
  readonly #file: StoreFile;
  #seen: FileIdentity | undefined;
  #isOurs = false;

  constructor(file: StoreFile) {
    this.#file = file;
  }

  /** What changes from now on, until settle(), is our doing. */
  suspend(): void {
    this.#isOurs = true;
  }

  /** Our own writes are over: the file is as we left it. */
  settle(): void {
    this.#isOurs = false;
    this.#seen = this.#file.identity();
  }

  /** Since settle(), or since this was last asked. */
  isChanged(): boolean {
    if (this.#isOurs) return false;
    const seen = this.#seen;
    const now = this.#file.identity();
    this.#seen = now;
    return seen !== undefined && (now.mtimeNs !== seen.mtimeNs || now.size !== seen.size);
  }
}
