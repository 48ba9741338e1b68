/**
 * Reads 4 KiB of an NBD export again and again, one at a time, and notes how long each takes: what a guest with one thread would
 * notice of a restart. Simple replies; the offsets are spread over the export.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { optionOf, requestOf } from '../nbd-client.ts';

/** NBDMAGIC, IHAVEOPT and flags; size and flags of the export, then zeros for who does not decline them. */
const GREETING_LENGTH = 18 + 10;
const REPLY_HEADER_LENGTH = 16;
const READ_LENGTH = 4_096;
/** A fifth of a percent of a core; a pause is known to a millisecond. */
const BETWEEN_READS_MS = 1;

export class ReadProbe {
  readonly #socket: Socket;
  readonly #length: number;
  #received = 0;
  #errors = 0;
  #longestMs = 0;
  #isRunning = true;
  readonly #finished: Promise<void>;

  private constructor(socket: Socket, length: number) {
    this.#socket = socket;
    this.#length = length;
    this.#finished = this.#run();
  }

  static async start(path: string, exportName: string, length: number): Promise<ReadProbe> {
    const socket = connect(path);
    await once(socket, 'connect');
    socket.write(optionOf(exportName));
    return new ReadProbe(socket, length);
  }

  /** Replies that were errors. */
  get errors(): number {
    return this.#errors;
  }

  /** The longest read since the last call. */
  takeLongestMs(): number {
    const longest = this.#longestMs;
    this.#longestMs = 0;
    return longest;
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#finished;
    this.#socket.destroy();
  }

  async #run(): Promise<void> {
    let header: Buffer | undefined;
    this.#socket.on('data', (bytes) => {
      header ??= bytes;
      this.#received += bytes.length;
    });
    await this.#until(GREETING_LENGTH);
    for (let at = 0; this.#isRunning; at = (at + 37 * READ_LENGTH) % this.#length) {
      this.#received = 0;
      header = undefined;
      const startedAt = performance.now();
      this.#socket.write(requestOf(at, READ_LENGTH));
      await this.#until(REPLY_HEADER_LENGTH);
      if (header!.readUInt32BE(4) === 0) await this.#until(REPLY_HEADER_LENGTH + READ_LENGTH);
      else this.#errors += 1;
      this.#longestMs = Math.max(this.#longestMs, performance.now() - startedAt);
      await delay(BETWEEN_READS_MS);
    }
  }

  async #until(length: number): Promise<void> {
    while (this.#received < length) await once(this.#socket, 'data');
  }
}
