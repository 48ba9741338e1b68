/**
 * The near end of NBD, as far as a copy needs it: one export of a unix socket, opened and read, many requests at once. Fixed
 * newstyle with NBD_OPT_GO, simple replies (proto.md of NetworkBlockDevice/nbd).
 */
import { createConnection, type Socket } from 'node:net';
import { messageOf, OperatorError } from '@bootswarm/stdx';

const GREETING = Buffer.from('4e42444d4147494349484156454f5054', 'hex');
/** FIXED_NEWSTYLE | NO_ZEROES, both ways. */
const FLAGS = 3;
const OPTION_MAGIC = Buffer.from('IHAVEOPT');
const OPTION_GO = 7;
const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;
const REPLY_ACK = 1;
const REPLY_INFO = 3;
const INFO_EXPORT = 0;
const OPTION_REPLY_BYTES_MAX = 64 * 1024;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const READ = 0;
const DISCONNECT = 2;

interface Waiting {
  readonly target: Uint8Array;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class NbdClient {
  readonly length: number;
  readonly #stream: NbdStream;
  readonly #waiting = new Map<bigint, Waiting>();
  #nextCookie = 1n;
  #failure: unknown;

  private constructor(stream: NbdStream, length: number) {
    this.#stream = stream;
    this.length = length;
    this.#receive().catch((error: unknown) => this.#fail(error));
  }

  /** `through`: what leads to the socket in place of its path. Throws OperatorError `nbd-unreachable` or `nbd-refused`. */
  static async open(
    socketPath: string,
    exportName: string,
    signal: AbortSignal,
    through = socketPath,
  ): Promise<NbdClient> {
    const stream = new NbdStream(createConnection(through), signal);
    try {
      return new NbdClient(stream, await negotiate(stream, exportName));
    } catch (error) {
      stream.destroy();
      if (error instanceof OperatorError || signal.aborted) throw error;
      throw new OperatorError(
        'nbd-unreachable',
        `cannot open the NBD export ${JSON.stringify(exportName)} of ${socketPath}: ${messageOf(error)}`,
        'Check that an NBD server listens there: nbdinfo shows what it exports.',
        { cause: error },
      );
    }
  }

  /** Fills `target`. Several may be asked at once, and are answered in any order. */
  read(offset: number, target: Uint8Array): Promise<void> {
    return new Promise((done, failed) => {
      if (this.#failure !== undefined) return failed(this.#failure);
      const cookie = this.#nextCookie;
      this.#nextCookie += 1n;
      this.#waiting.set(cookie, { target, done, failed });
      this.#stream.write(requestOf(READ, cookie, offset, target.length));
    });
  }

  close(): void {
    this.#failure ??= new Error('closed');
    this.#stream.write(requestOf(DISCONNECT, 0n, 0, 0));
    this.#stream.destroy();
  }

  async #receive(): Promise<void> {
    for (;;) {
      const head = await this.#stream.take(16);
      if (head.readUInt32BE(0) !== REPLY_MAGIC)
        throw new Error('the NBD server does not keep to the protocol');
      const cookie = head.readBigUInt64BE(8);
      const waiting = this.#waiting.get(cookie);
      if (waiting === undefined) throw new Error('the NBD server answers what nobody asked');
      this.#waiting.delete(cookie);
      const code = head.readUInt32BE(4);
      if (code === 0) {
        await this.#stream.fill(waiting.target);
        waiting.done();
      } else {
        waiting.failed(new Error(`the NBD server answers with error ${code}`));
      }
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const { failed } of this.#waiting.values()) failed(this.#failure);
    this.#waiting.clear();
    this.#stream.destroy();
  }
}

async function negotiate(stream: NbdStream, exportName: string): Promise<number> {
  const greeting = await stream.take(GREETING.length + 2);
  if (!greeting.subarray(0, GREETING.length).equals(GREETING))
    throw new Error('it greets as no NBD server');
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(FLAGS & greeting.readUInt16BE(GREETING.length));
  const name = Buffer.from(exportName);
  const option = Buffer.alloc(16 + 4 + name.length + 2);
  OPTION_MAGIC.copy(option);
  option.writeUInt32BE(OPTION_GO, 8);
  option.writeUInt32BE(4 + name.length + 2, 12);
  option.writeUInt32BE(name.length, 16);
  name.copy(option, 20);
  stream.write(Buffer.concat([flags, option]));
  for (let length: number | undefined; ; ) {
    const head = await stream.take(20);
    const [type, bytes] = [head.readUInt32BE(12), head.readUInt32BE(16)];
    if (head.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC || bytes > OPTION_REPLY_BYTES_MAX) {
      throw new Error('it does not keep to the protocol');
    }
    const payload = await stream.take(bytes);
    if (type === REPLY_INFO && bytes >= 12 && payload.readUInt16BE(0) === INFO_EXPORT) {
      length = Number(payload.readBigUInt64BE(2));
    } else if (type === REPLY_ACK) {
      if (length === undefined || !Number.isSafeInteger(length))
        throw new Error('it tells no length');
      return length;
    } else if (type !== REPLY_INFO) {
      throw refused(exportName, type, payload.toString('utf8').replaceAll(/[^\x20-\x7e]/g, '?'));
    }
  }
}

function refused(exportName: string, type: number, text: string): OperatorError {
  const why = text === '' ? `error 0x${type.toString(16)}` : text.slice(0, 200);
  return new OperatorError(
    'nbd-refused',
    `the NBD server does not give its export ${JSON.stringify(exportName)}: ${why}`,
    'See with nbdinfo --list what it exports, and whether it asks for TLS.',
  );
}

function requestOf(type: number, cookie: bigint, offset: number, length: number): Buffer {
  const request = Buffer.alloc(28);
  request.writeUInt32BE(REQUEST_MAGIC, 0);
  request.writeUInt16BE(type, 6);
  request.writeBigUInt64BE(cookie, 8);
  request.writeBigUInt64BE(BigInt(offset), 16);
  request.writeUInt32BE(length, 24);
  return request;
}

/** Bytes of a socket, taken in the lengths that are wanted. */
class NbdStream {
  readonly #socket: Socket;
  #error: unknown;

  constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket;
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    const onAbort = (): void => void socket.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', onAbort));
  }

  write(bytes: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async take(length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    await this.fill(bytes);
    return bytes;
  }

  async fill(target: Uint8Array): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const { readableLength } = this.#socket;
      const wanted = Math.min(target.length - done, readableLength);
      const part = wanted > 0 ? (this.#socket.read(wanted) as Buffer | null) : null;
      if (part === null) {
        await this.#readable();
        continue;
      }
      target.set(part, done);
      done += part.length;
    }
  }

  #readable(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket;
      const over = (): void => {
        socket.off('readable', onReadable);
        socket.off('close', onClose);
      };
      const onReadable = (): void => {
        over();
        resolve();
      };
      const onClose = (): void => {
        over();
        reject(this.#error ?? new Error('the NBD server has hung up'));
      };
      if (socket.destroyed || socket.readableEnded) return onClose();
      socket.on('readable', onReadable);
      socket.on('close', onClose);
      // Asks for more, and for 'readable' when it is there.
      socket.read(0);
    });
  }
}
