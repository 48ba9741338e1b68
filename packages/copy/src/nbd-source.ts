/** An export of an NBD server on this host as the source of a copy. Nothing tells whether it is the same the next time. */
import type { FileHandle } from 'node:fs/promises';
import { type Bitfield, messageOf, OperatorError } from '@bootswarm/stdx';
import { sourceEmpty, sourceUnreadable } from './copy-error.ts';
import {
  bytesOfUnits,
  type CopySource,
  nextMissing,
  type Run,
  unitCountOf,
  unitLengthFor,
} from './copy-source.ts';
import { O_PATH, openInside, pathOf } from './held-directory.ts';
import { NbdClient } from './nbd-client.ts';

/** Keeps a server with threads and a disk with a queue busy. */
const READS_MAX = 8;

export class NbdSource implements CopySource {
  readonly shown: string;
  readonly length: number;
  readonly unitLength: number;
  readonly version = undefined;
  readonly #client: NbdClient;

  private constructor(client: NbdClient, shown: string) {
    this.#client = client;
    this.shown = shown;
    this.length = client.length;
    this.unitLength = unitLengthFor(client.length);
  }

  static async open(
    { socketPath, exportName }: { readonly socketPath: string; readonly exportName: string },
    shown: string,
    signal: AbortSignal,
    inside?: string,
  ): Promise<NbdSource> {
    await using socket = inside === undefined ? undefined : await heldSocket(socketPath, inside);
    const through = socket && pathOf(socket);
    const client = await NbdClient.open(socketPath, exportName, signal, through);
    if (client.length > 0) return new NbdSource(client, shown);
    client.close();
    throw sourceEmpty(shown);
  }

  async *runs(had: Bitfield, signal: AbortSignal): AsyncGenerator<Run> {
    const reading: Promise<Run>[] = [];
    let next = 0;
    for (;;) {
      signal.throwIfAborted();
      const range =
        reading.length < READS_MAX ? nextMissing(had, next, unitCountOf(this), 1) : undefined;
      if (range !== undefined) {
        next = range.first + range.count;
        const read = this.#read(range.first);
        // Awaited in its turn.
        read.catch(() => {});
        reading.push(read);
        continue;
      }
      const oldest = reading.shift();
      if (oldest === undefined) return;
      yield await oldest;
    }
  }

  async recheck(): Promise<void> {}

  async close(): Promise<void> {
    this.#client.close();
  }

  async #read(firstUnit: number): Promise<Run> {
    const bytes = Buffer.allocUnsafeSlow(bytesOfUnits(this, firstUnit, 1));
    try {
      await this.#client.read(firstUnit * this.unitLength, bytes);
    } catch (error) {
      throw new OperatorError(
        'source-unreadable',
        `cannot read ${this.shown}: ${messageOf(error)}`,
        "Look at the NBD server's log, then copy it again.",
        { cause: error },
      );
    }
    return { firstUnit, unitCount: 1, bytes };
  }
}

/** Connected to as it was found: connect(2) would follow a link that has taken its place. */
async function heldSocket(path: string, inside: string): Promise<FileHandle> {
  let socket: FileHandle | undefined;
  try {
    socket = await openInside(path, O_PATH, inside);
    // A link is opened as such with this flag.
    if ((await socket.stat()).isSocket()) return socket;
    throw new Error('it is no socket');
  } catch (error) {
    await socket?.close();
    throw error instanceof OperatorError ? error : sourceUnreadable(path, error);
  }
}
