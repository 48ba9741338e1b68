/** An NBD client that says exactly what a test tells it to, on a real socket. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import {
  CLIENT_FLAGS,
  GREETING,
  OPTION,
  option,
  text,
} from '../../../../packages/nbd-proto/test/wire.ts';

export class RawClient {
  readonly socket: Socket;
  /** Resolves when the connection is closed, in whatever way. */
  readonly closed: Promise<void>;
  #parts: Buffer[] = [];
  #partsLength = 0;

  private constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.pause();
    // A server that cuts shows up here as ECONNRESET or EPIPE; `closed` is what tests look at.
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()));
    // With allowHalfOpen the end of the server's stream would leave our side open.
    this.socket.on('end', () => this.socket.end());
  }

  static async connect(path: string): Promise<RawClient> {
    const client = new RawClient(path);
    await once(client.socket, 'connect');
    return client;
  }

  /** A client in the transmission phase, with simple replies. */
  static async open(path: string, exportName: string): Promise<RawClient> {
    const client = await RawClient.connect(path);
    client.send(CLIENT_FLAGS, option(OPTION.exportName, text(exportName)));
    await client.receive(GREETING.length + 10);
    return client;
  }

  send(...parts: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** The next `length` bytes; what comes beyond them is kept for the next call. */
  async receive(length: number): Promise<Buffer> {
    while (this.#partsLength < length) {
      const bytes: Buffer | null = this.socket.read();
      if (bytes === null) await once(this.socket, 'readable');
      else this.#keep(bytes);
    }
    const received = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partsLength = 0;
    this.#keep(received.subarray(length));
    return received.subarray(0, length);
  }

  /** All that comes until the server closes. */
  async receiveToEnd(): Promise<Buffer> {
    this.socket.on('data', (bytes) => this.#keep(bytes));
    this.socket.resume();
    await this.closed;
    return Buffer.concat(this.#parts);
  }

  #keep(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#partsLength += bytes.length;
  }
}
