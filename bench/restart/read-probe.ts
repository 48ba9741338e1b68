/**
 * Reads 4 KiB of an NBD export again and again, one at a time, and notes how long each takes: what a guest with one thread would
 * notice of a restart. The offsets are spread over the export.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { NbdReader } from '../nbd-reader.ts';

const READ_LENGTH = 4_096;
/** A fifth of a percent of a core; a pause is known to a millisecond. */
const BETWEEN_READS_MS = 1;

export class ReadProbe {
  readonly #reader: NbdReader;
  readonly #length: number;
  /** Rejects with the first error: an error reply, or a connection that ends. */
  readonly #failed: Promise<never>;
  #longestMs = 0;
  #isRunning = true;
  readonly #finished: Promise<void>;

  private constructor(reader: NbdReader, length: number, failed: Promise<never>) {
    this.#reader = reader;
    this.#length = length;
    this.#failed = failed;
    this.#finished = this.#run();
    // Whoever stops it is told.
    this.#finished.catch(() => {});
  }

  static async start(path: string, exportName: string, length: number): Promise<ReadProbe> {
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => {});
    const reader = await NbdReader.open(path, exportName, READ_LENGTH, failed.reject);
    return new ReadProbe(reader, length, failed.promise);
  }

  /** The longest read since the last call. */
  takeLongestMs(): number {
    const longest = this.#longestMs;
    this.#longestMs = 0;
    return longest;
  }

  /** Rejects when a read was answered with an error, or the connection has ended. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#finished;
    await this.#reader.close();
  }

  async #run(): Promise<void> {
    for (let at = 0; this.#isRunning; at = (at + 37 * READ_LENGTH) % this.#length) {
      const startedAt = performance.now();
      const read = new Promise<void>((resolve) => {
        this.#reader.read(at, READ_LENGTH, () => resolve());
      });
      await Promise.race([read, this.#failed]);
      this.#longestMs = Math.max(this.#longestMs, performance.now() - startedAt);
      await delay(BETWEEN_READS_MS);
    }
  }
}
