/**
 * The descriptor of /dev/fuse as a stream of messages: one read(2) gives one request, one write(2) takes one reply. Node has no
 * way to wait for a character device in its event loop: fs.read() would hold a thread of the pool, which files need, and costs a
 * change of threads per request. libuv can poll it as a pipe, which it takes any descriptor for. While a program reads on and on,
 * requests are also read past libuv, so that the agent need not be woken for each.
 */
import { readSync, writeSync } from 'node:fs';
import net from 'node:net';
import { MESSAGE_LENGTH_MAX } from '@bootswarm/fuse-proto';
import { assert, errnoOf } from '@bootswarm/stdx';
import { WakefulLoop } from '../wakeful-loop.ts';

interface PipeHandle {
  /** 0, or a negative errno. */
  open(fd: number): number;
}

interface PipeBinding {
  readonly Pipe: new (type: number) => PipeHandle;
  readonly constants: { readonly SOCKET: number };
}

/** Not documented, like the one that the socket holder binds with; what it gives is checked by a test. */
const binding = (process as unknown as { binding(name: string): unknown }).binding(
  'pipe_wrap',
) as PipeBinding;

export interface FuseChannelOptions {
  /** Open for reading and writing, not blocking. */
  readonly fd: number;
  /** Whole messages, good until it returns. Must not throw. */
  readonly onMessage: (message: Uint8Array) => void;
  /** Somebody has unmounted the directory; nothing follows. */
  readonly onEnd: (reason: string) => void;
  /** Milliseconds; default: performance.now(). */
  readonly now?: () => number;
}

/** What else is due waits so long for requests that come one after another: a twentieth of what a read may take. */
const LOOK_MS = 0.1;

export class FuseChannel {
  readonly #fd: number;
  readonly #socket: net.Socket;
  readonly #onMessage: (message: Uint8Array) => void;
  readonly #buffer = Buffer.allocUnsafeSlow(MESSAGE_LENGTH_MAX);
  readonly #now: () => number;
  readonly #loop: WakefulLoop;
  #isPaused = false;
  #isClosed = false;

  constructor({ fd, onMessage, onEnd, now }: FuseChannelOptions) {
    this.#fd = fd;
    this.#now = now ?? (() => performance.now());
    this.#loop = new WakefulLoop({ look: () => this.#look(), now: this.#now });
    this.#onMessage = onMessage;
    const handle = new binding.Pipe(binding.constants.SOCKET);
    const failed = handle.open(fd);
    assert(failed === 0, `libuv does not take /dev/fuse: ${failed}`);
    const options = {
      handle,
      readable: true,
      writable: false,
      onread: {
        buffer: this.#buffer,
        callback: (length: number): boolean => {
          this.#hear(length);
          return !this.#isPaused;
        },
      },
    };
    this.#socket = new net.Socket(options as object);
    const end = (reason: string): void => {
      if (!this.#isClosed) onEnd(reason);
      this.#isClosed = true;
    };
    this.#socket.on('error', (error) => end(errnoOf(error) ?? error.message));
    this.#socket.on('close', () => end('closed'));
    this.#socket.resume();
  }

  /** Whether a program reads on and on: what is done now, before its next request comes, it need not wait for. */
  get isStreaming(): boolean {
    return this.#loop.isAwake(this.#now());
  }

  /** Returns the name of what the kernel has against it; undefined when it was taken. Never waits. */
  write(bytes: Uint8Array): string | undefined {
    if (this.#isClosed) return 'ENODEV';
    try {
      writeSync(this.#fd, bytes);
      return undefined;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      return errno;
    }
  }

  /** Requests stay in the kernel. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /** Also closes the descriptor. Others that were given it keep the mount alive. */
  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #hear(length: number): void {
    this.#loop.heard();
    this.#onMessage(this.#buffer.subarray(0, length));
    this.#loop.served();
  }

  #look(): void {
    const startedAt = this.#now();
    for (let now = startedAt; now - startedAt < LOOK_MS; now = this.#now()) {
      if (this.#isPaused || this.#isClosed || !this.#loop.isAwake(now)) return;
      const length = this.#readNow();
      if (length > 0) this.#hear(length);
    }
  }

  /** 0 when there is nothing; what else is wrong libuv finds too. */
  #readNow(): number {
    const { stackTraceLimit } = Error;
    // EAGAIN is thrown, at half the price without a stack.
    Error.stackTraceLimit = 0;
    try {
      return readSync(this.#fd, this.#buffer, 0, MESSAGE_LENGTH_MAX, null);
    } catch {
      return 0;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }
}
