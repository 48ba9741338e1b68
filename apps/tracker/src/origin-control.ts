/**
 * One connection to a running origin process: requests out, answers in, a deadline on each. Whether there should be an
 * origin, and which, is OriginProcess's decision.
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { messageOf } from '@bootswarm/stdx';
import type { OriginMethod, OriginMethods, OriginResponse } from './origin-protocol.ts';
import { ORIGIN_LINE_BYTES_MAX } from './origin-protocol.ts';

/** The origin answered a request with an error. */
export class OriginError extends Error {
  override readonly name = 'OriginError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class OriginControl {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #requests = 0;
  #partialLine = '';
  /** Resolves when the connection is over, whoever ended it. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#onText(text));
    // 'close' follows and says all there is to say.
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        for (const pending of this.#pending.values()) {
          pending.reject(new Error('the origin closed the connection'));
        }
        this.#pending.clear();
        resolve();
      });
    });
  }

  /** Rejects with ENOENT or ECONNREFUSED when no process listens there. */
  static async connect(path: string): Promise<OriginControl> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    return new OriginControl(socket);
  }

  async request<Method extends OriginMethod>(
    method: Method,
    params: OriginMethods[Method]['params'],
    timeoutMs: number,
  ): Promise<OriginMethods[Method]['result']> {
    this.#requests += 1;
    const id = this.#requests;
    const answer = Promise.withResolvers<unknown>();
    this.#pending.set(id, answer);
    const timer = setTimeout(() => {
      answer.reject(new Error(`the origin did not answer ${method} within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      this.#socket.write(`${JSON.stringify({ id, method, params })}\n`);
      return (await answer.promise) as OriginMethods[Method]['result'];
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #onText(text: string): void {
    const lines = (this.#partialLine + text).split('\n');
    this.#partialLine = lines.pop() ?? '';
    try {
      if (this.#partialLine.length > ORIGIN_LINE_BYTES_MAX) throw new Error('line too long');
      for (const line of lines) this.#onLine(line);
    } catch (error) {
      this.#socket.destroy(new Error(`the origin speaks another language: ${messageOf(error)}`));
    }
  }

  #onLine(line: string): void {
    const response = JSON.parse(line) as OriginResponse;
    const pending = this.#pending.get(response.id);
    // One that comes after its deadline has nobody waiting for it.
    if (pending === undefined) return;
    if ('error' in response) {
      const { code, message } = response.error;
      pending.reject(new OriginError(String(code), String(message)));
    } else {
      pending.resolve(response.result);
    }
  }
}
