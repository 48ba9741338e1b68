/**
 * Accepts NBD clients on a unix socket and bounds how many there are. One listener serves all exports of the agent; what a
 * client may cost is nbd-connection.ts's business, and which exports exist the directory's.
 */
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import type { Server } from 'node:net';
import { createServer } from 'node:net';
import { OperatorError } from '@bootswarm/stdx';
import type { ExportDirectory } from './export-source.ts';
import type { ConnectionEnd } from './nbd-connection.ts';
import { NbdConnection } from './nbd-connection.ts';
import { REPLY_BYTES_MAX, ReplyBudget } from './reply-budget.ts';
import { ReplyBuffers } from './reply-buffers.ts';
import { claimSocketPath, NBD_SOCKET_MODE } from './socket-path.ts';

/** A path to bind, or a socket bound to it that a parent holds open so that it outlives this process. */
export type ListenAddress =
  | { readonly type: 'path'; readonly path: string }
  | { readonly type: 'fd'; readonly fd: number; readonly path: string };

export type NbdListenerEvent =
  | ({ readonly type: 'connection-ended' } & ConnectionEnd)
  | { readonly type: 'connection-refused'; readonly connectionsMax: number }
  | { readonly type: 'listener-failed'; readonly error: Error };

export interface NbdListenerOptions {
  readonly directory: ExportDirectory;
  readonly onEvent: (event: NbdListenerEvent) => void;
  /** 256: one for each VM of a large host, and nbdcopy's four. QEMU's own server allows 100. */
  readonly connectionsMax?: number;
  readonly handshakeTimeoutMs?: number;
  readonly halfClosedTimeoutMs?: number;
  readonly replyBytesMax?: number;
}

/** Replies for a client that is busy with earlier ones: the next is made while it reads. Once there is more, no more is made. */
const QUEUED_BYTES_MAX = 512 * 1024;

export class NbdListener {
  readonly #server: Server;
  readonly #options: NbdListenerOptions;
  readonly #budget: ReplyBudget;
  readonly #buffers = new ReplyBuffers();
  readonly #connections = new Set<NbdConnection>();

  private constructor(options: NbdListenerOptions) {
    const { connectionsMax = 256, onEvent } = options;
    this.#options = options;
    this.#budget = new ReplyBudget(options.replyBytesMax ?? REPLY_BYTES_MAX);
    this.#server = createServer(
      { allowHalfOpen: true, highWaterMark: QUEUED_BYTES_MAX },
      (socket) => {
        const connection = new NbdConnection(socket, {
          directory: options.directory,
          budget: this.#budget,
          buffers: this.#buffers,
          handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
          halfClosedTimeoutMs: options.halfClosedTimeoutMs ?? 10_000,
          onEnd: (ended, end) => this.#ended(ended, end),
        });
        this.#connections.add(connection);
        connection.start();
      },
    );
    this.#server.maxConnections = connectionsMax;
    this.#server.on('drop', () => onEvent({ type: 'connection-refused', connectionsMax }));
  }

  /** Throws OperatorError when the path cannot be bound or the socket is not there, and Node's system errors otherwise. */
  static async listen(address: ListenAddress, options: NbdListenerOptions): Promise<NbdListener> {
    const listener = new NbdListener(options);
    const server = listener.#server;
    if (address.type === 'path') {
      await claimSocketPath(address.path);
      server.listen(address.path);
    } else {
      assertSocketAt(address.path);
      server.listen({ fd: address.fd });
    }
    await once(server, 'listening');
    server.on('error', (error) => options.onEvent({ type: 'listener-failed', error }));
    // Until here the umask has kept others out: to connect takes the right to write.
    try {
      if (address.type === 'path') await chmod(address.path, NBD_SOCKET_MODE);
    } catch (error) {
      await listener.close();
      throw error;
    }
    return listener;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Bytes of replies that wait, for the swarm or for clients that do not read them. */
  get replyBytes(): number {
    return this.#budget.heldBytes;
  }

  /** Cuts the clients of one export, which is being withdrawn; returns how many there were. */
  cut(exportName: string): number {
    const clients = [...this.#connections].filter((client) => client.exportName === exportName);
    for (const client of clients) client.cut();
    return clients.length;
  }

  /** Stops accepting and cuts every client, unanswered: QEMU reconnects to whoever listens next. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#connections) connection.cut();
    await closed;
  }

  #ended(connection: NbdConnection, end: ConnectionEnd): void {
    this.#connections.delete(connection);
    this.#options.onEvent({ type: 'connection-ended', ...end });
  }
}

/** Overlays name the path, so an inherited socket that is somewhere else would serve nobody. */
function assertSocketAt(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  throw new OperatorError(
    'inherited-sockets',
    `The NBD socket that this agent was started with is not at ${path}`,
    'ListenStream= of the socket unit and --run of the agent must agree: ListenStream=RUN/nbd.sock.',
  );
}
