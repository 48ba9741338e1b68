/**
 * A thread that does to many pieces at once what would keep the event loop: hashes them, or writes them to a file. Pieces in
 * shared memory are not copied on the way. Takes one order after the other; what an answer means is the caller's matter.
 */
import { Worker } from 'node:worker_threads';

/** Of whole pieces of one length, a power of two of blocks. */
export interface HashOrder {
  readonly type: 'hash';
  readonly pieces: readonly Uint8Array[];
  readonly blockLength: number;
}

export interface WriteOrder {
  readonly type: 'write';
  readonly fd: number;
  readonly pieces: readonly Uint8Array[];
  readonly positions: readonly number[];
}

export interface HashAnswer {
  /** The roots of the pieces' merkle trees, 32 bytes each. */
  readonly roots: Uint8Array;
}

export interface WriteAnswer {
  /** Pieces written whole, from the first on. */
  readonly writtenCount: number;
  /** Why the next one was not; absent when all were. */
  readonly failure?: { readonly code: string; readonly message: string };
}

/** Each piece leaves some 300 bytes in the thread's heap, which hold the piece's memory until they are collected. */
const YOUNG_MIB = 1;

type Order = HashOrder | WriteOrder;
type Answer = HashAnswer & WriteAnswer;

export class PieceThread {
  #worker: Worker | undefined;
  /** For each order under way. */
  readonly #waiting: ((answer: Answer) => void)[] = [];

  ask(order: HashOrder, onAnswer: (answer: HashAnswer) => void): void;
  ask(order: WriteOrder, onAnswer: (answer: WriteAnswer) => void): void;
  ask(order: Order, onAnswer: (answer: Answer) => void): void {
    this.#worker ??= this.#start();
    if (this.#waiting.length === 0) this.#worker.ref();
    this.#waiting.push(onAnswer);
    this.#worker.postMessage(order);
  }

  #start(): Worker {
    // From its text, as the watchdog: a thread that had to load TypeScript would take 18 MiB more.
    const modules = ['worker_threads', 'crypto', 'fs', 'os'].map(
      (name) => `require('node:${name}')`,
    );
    const worker = new Worker(`(${serve})(${modules})`, {
      ...{ eval: true, execArgv: [] },
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    worker.on('message', (answer: Answer) => {
      const onAnswer = this.#waiting.shift();
      if (this.#waiting.length === 0) worker.unref();
      onAnswer?.(answer);
    });
    return worker;
  }
}

/** What the thread does. It runs as text, so it knows nothing but its arguments. */
function serve(
  threads: typeof import('node:worker_threads'),
  crypto: typeof import('node:crypto'),
  files: typeof import('node:fs'),
  os: typeof import('node:os'),
): void {
  const HASH_LENGTH = 32;
  /** A third of the CPU that the event loop gets when both want it: guests come first. */
  const NICE = 5;
  // On Linux that of this thread alone.
  os.setPriority(0, NICE);
  const port = threads.parentPort!;
  port.on('message', (order: Order) => {
    port.postMessage(order.type === 'hash' ? hashAll(order) : writeAll(order));
  });

  function hashAll({ pieces, blockLength }: HashOrder): HashAnswer {
    const roots = Buffer.alloc(pieces.length * HASH_LENGTH);
    const nodes = Buffer.alloc((pieces[0].length / blockLength) * HASH_LENGTH);
    for (const [index, piece] of pieces.entries()) {
      let count = fill(nodes, piece, blockLength);
      // A level from the one below, in place.
      while (count > 1) {
        count = fill(nodes, nodes.subarray(0, count * HASH_LENGTH), 2 * HASH_LENGTH);
      }
      nodes.copy(roots, index * HASH_LENGTH, 0, HASH_LENGTH);
    }
    return { roots };
  }

  /** Replaces the first nodes by the hashes of the parts of `bytes`; returns how many. */
  function fill(nodes: Buffer, bytes: Uint8Array, partLength: number): number {
    const count = bytes.length / partLength;
    for (let index = 0; index < count; index += 1) {
      const part = bytes.subarray(index * partLength, (index + 1) * partLength);
      nodes.write(crypto.hash('sha256', part, 'binary'), index * HASH_LENGTH, 'binary');
    }
    return count;
  }

  function writeAll({ fd, pieces, positions }: WriteOrder): WriteAnswer {
    let writtenCount = 0;
    try {
      for (const piece of pieces) {
        for (let done = 0; done < piece.length; ) {
          const position = positions[writtenCount] + done;
          const count = files.writeSync(fd, piece, done, piece.length - done, position);
          if (count === 0) {
            throw Object.assign(new Error('the disk wrote 0 bytes'), { code: 'EIO' });
          }
          done += count;
        }
        writtenCount += 1;
      }
      return { writtenCount };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return { writtenCount, failure: { code: code ?? 'EIO', message } };
    }
  }
}
