/**
 * Reads a file in order with O_DIRECT, 64 KiB at a time, for ever, in a thread of its own, and knows how long the longest took.
 */
import { once } from 'node:events';
import { constants, openSync, readSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const READ_BYTES = 64 * 1024;
/** Of the words that both threads see. */
const [LONGEST_US, STOP] = [0, 1];

interface ProbeData {
  readonly file: string;
  readonly length: number;
  readonly words: Int32Array<SharedArrayBuffer>;
}

export class FileProbe {
  readonly #worker: Worker;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #failed: Promise<never>;

  private constructor(file: string, length: number) {
    this.#words = new Int32Array(new SharedArrayBuffer(8));
    const data: ProbeData = { file, length, words: this.#words };
    this.#worker = new Worker(new URL(import.meta.url), { workerData: data });
    this.#failed = once(this.#worker, 'error').then(([error]) => {
      throw error;
    });
    this.#failed.catch(() => {});
  }

  static async start(file: string, length: number): Promise<FileProbe> {
    const probe = new FileProbe(file, length);
    await Promise.race([once(probe.#worker, 'online'), probe.#failed]);
    return probe;
  }

  /** Since it was last asked. A read that is open counts when it is over. */
  takeLongestMs(): number {
    return Atomics.exchange(this.#words, LONGEST_US, 0) / 1_000;
  }

  /** Rejects if a read has failed. */
  async stop(): Promise<void> {
    Atomics.store(this.#words, STOP, 1);
    await Promise.race([once(this.#worker, 'exit'), this.#failed]);
  }
}

function readOn({ file, length, words }: ProbeData): void {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_DIRECT);
  const target = Buffer.allocUnsafeSlow(READ_BYTES);
  for (let at = 0; Atomics.load(words, STOP) === 0; at = (at + READ_BYTES) % length) {
    const startedAt = performance.now();
    readSync(descriptor, target, 0, READ_BYTES, at);
    const tookUs = Math.round((performance.now() - startedAt) * 1_000);
    if (tookUs > Atomics.load(words, LONGEST_US)) Atomics.store(words, LONGEST_US, tookUs);
  }
}

if (!isMainThread) readOn(workerData as ProbeData);
