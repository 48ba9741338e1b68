/** The origin's side of DATA/origin.sock: one JSON object per line, each request answered once under its id. */
import { createServer, type Server, type Socket } from 'node:net';
import { messageOf, OperatorError, ProtocolError } from '@bootswarm/stdx';
import {
  ORIGIN_LINE_BYTES_MAX,
  type OriginMethod,
  type OriginMethods,
} from '../origin-protocol.ts';

export type OriginHandlers = {
  readonly [Method in OriginMethod]: (
    params: OriginMethods[Method]['params'],
  ) => OriginMethods[Method]['result'] | Promise<OriginMethods[Method]['result']>;
};

export class ControlServer {
  readonly #handlers: OriginHandlers;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Called whenever the number of connected trackers changes. */
  readonly #onTrackers: (count: number) => void;

  constructor(handlers: OriginHandlers, onTrackers: (count: number) => void) {
    this.#handlers = handlers;
    this.#onTrackers = onTrackers;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, resolve);
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.end();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    this.#onTrackers(this.#sockets.size);
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      if (rest.length > ORIGIN_LINE_BYTES_MAX) socket.destroy();
      for (const line of lines) void this.#answer(socket, line);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#onTrackers(this.#sockets.size);
    });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    let id: unknown;
    try {
      const request = JSON.parse(line) as { id?: unknown; method?: unknown; params?: unknown };
      id = request.id;
      const { method } = request;
      if (typeof method !== 'string' || !Object.hasOwn(this.#handlers, method)) {
        throw new ProtocolError('unknown-method', { method });
      }
      const handler = this.#handlers[method as OriginMethod] as (params: unknown) => unknown;
      const result = await handler(request.params ?? {});
      socket.write(`${JSON.stringify({ id, result })}\n`);
    } catch (error) {
      const isCoded = error instanceof OperatorError || error instanceof ProtocolError;
      const code = isCoded ? error.code : 'origin-failed';
      socket.write(`${JSON.stringify({ id, error: { code, message: messageOf(error) } })}\n`);
    }
  }
}
