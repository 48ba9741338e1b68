/**
 * An NBD client that reads, one request at a time, and nothing else: the least that a guest's disk needs, so that sixteen of them
 * cost little beside what is measured. Simple replies, fixed newstyle; proto.md has the layouts.
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

/** NBDMAGIC, IHAVEOPT, FIXED_NEWSTYLE | NO_ZEROES. */
const GREETING = Buffer.from('4e42444d4147494349484156454f50540003', 'hex');
/** The client's own flags: the same two. */
const CLIENT_FLAGS = Buffer.from('00000003', 'hex');
const EXPORT_NAME_OPTION = Buffer.from('49484156454f505400000001', 'hex');
/** Length of the export 8, flags 2. */
const EXPORT_BYTES = 10;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const REQUEST_BYTES = 28;
const REPLY_BYTES = 16;
const SEGMENT_BYTES = 256 * 1024;

export class NbdReader {
  readonly #socket: Socket;
  readonly #onError: (error: Error) => void;
  readonly #request = Buffer.alloc(REQUEST_BYTES);
  /** What is being received: the greeting, or the reply to the request that is open. */
  readonly #received: Buffer;
  #receivedBytes = 0;
  #wantedBytes = GREETING.length;
  #onWhole: () => void;

  private constructor(
    socketPath: string,
    exportName: string,
    lengthMax: number,
    onOpen: () => void,
    onError: (error: Error) => void,
  ) {
    this.#onError = onError;
    this.#received = Buffer.alloc(Math.max(GREETING.length, REPLY_BYTES + lengthMax));
    this.#request.writeUInt32BE(REQUEST_MAGIC, 0);
    this.#onWhole = () => this.#greeted(exportName, onOpen);
    this.#socket = createConnection({
      path: socketPath,
      onread: {
        buffer: Buffer.alloc(SEGMENT_BYTES),
        callback: (bytes, segment) => {
          this.#onSegment(segment.subarray(0, bytes) as Buffer);
          return true;
        },
      },
    });
    this.#socket.on('error', onError);
    this.#socket.on('close', () => onError(new Error(`${socketPath} was closed on its reader`)));
  }

  /** Reads up to `lengthMax` bytes at a time; `onError` is told what ends the connection later. */
  static async open(
    socketPath: string,
    exportName: string,
    lengthMax: number,
    onError: (error: Error) => void,
  ): Promise<NbdReader> {
    const opened = Promise.withResolvers<void>();
    const reader = new NbdReader(socketPath, exportName, lengthMax, opened.resolve, (error) => {
      opened.reject(error);
      onError(error);
    });
    await opened.promise;
    return reader;
  }

  /** `onBytes` gets what was read; it is overwritten by the next reply. */
  read(offset: number, length: number, onBytes: (bytes: Buffer) => void): void {
    this.#request.writeBigUInt64BE(BigInt(offset), 16);
    this.#request.writeUInt32BE(length, 24);
    this.#wantedBytes = REPLY_BYTES + length;
    this.#onWhole = () => this.#answered(length, onBytes);
    // The kernel takes 28 bytes at once, so the buffer is free again when this returns.
    this.#socket.write(this.#request);
  }

  async close(): Promise<void> {
    this.#socket.removeAllListeners('close');
    const closed = once(this.#socket, 'close');
    this.#socket.destroy();
    await closed;
  }

  #greeted(exportName: string, onOpen: () => void): void {
    if (!this.#received.subarray(0, GREETING.length).equals(GREETING)) {
      return this.#onError(new Error('the NBD server greets as none that we know'));
    }
    const name = Buffer.from(exportName);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(name.length);
    this.#wantedBytes = EXPORT_BYTES;
    this.#onWhole = onOpen;
    this.#socket.write(Buffer.concat([CLIENT_FLAGS, EXPORT_NAME_OPTION, length, name]));
  }

  #answered(length: number, onBytes: (bytes: Buffer) => void): void {
    const magic = this.#received.readUInt32BE(0);
    const error = this.#received.readUInt32BE(4);
    if (magic !== REPLY_MAGIC || error !== 0) {
      return this.#onError(new Error(`an NBD read failed: reply ${magic.toString(16)}, ${error}`));
    }
    onBytes(this.#received.subarray(REPLY_BYTES, REPLY_BYTES + length));
  }

  #onSegment(segment: Buffer): void {
    if (this.#receivedBytes + segment.length > this.#wantedBytes) {
      return this.#onError(new Error('the NBD server sent more than was asked'));
    }
    segment.copy(this.#received, this.#receivedBytes);
    this.#receivedBytes += segment.length;
    if (this.#receivedBytes < this.#wantedBytes) return;
    this.#receivedBytes = 0;
    this.#onWhole();
  }
}
