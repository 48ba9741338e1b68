/**
 * Accepts NBD clients on a unix socket and bounds how many there are. One listener serves all exports of the agent; what a
 * client may cost is nbd-connection.ts's business, and which exports exist the directory's.
 */
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import type { Server } from 'node:net';
import { createServer } from 'node:net';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import { WakefulLoop } from '../wakeful-loop.ts';
import type { ExportDirectory } from './export-source.ts';
import type { ConnectionEnd } from './nbd-connection.ts';
import { NbdConnection } from './nbd-connection.ts';
import { REPLY_BYTES_MAX, ReplyBudget } from './reply-budget.ts';
import { ReplyBuffers } from './reply-buffers.ts';
import { claimSocketPath, NBD_SOCKET_MODE } from './socket-path.ts';
import type { TlsGate } from './tls-gate.ts';

/**
 * A path to bind, or a socket bound to it that a parent holds open so that it outlives this process; or an address of this host,
 * where port 0 takes a free one.
 */
export type ListenAddress =
  | { readonly type: 'path'; readonly path: string }
  | { readonly type: 'fd'; readonly fd: number; readonly path: string }
  | { readonly type: 'tcp'; readonly host: string; readonly port: number };

export type NbdListenerEvent =
  | ({ readonly type: 'connection-ended' } & ConnectionEnd)
  | { readonly type: 'connection-refused'; readonly connectionsMax: number }
  | { readonly type: 'listener-failed'; readonly error: Error }
  /** The TCP port could not be had, and will be tried again. */
  | { readonly type: 'tcp-failed'; readonly error: unknown; readonly retryMs: number }
  | { readonly type: 'tcp-listening'; readonly address: string | undefined };

export interface NbdListenerOptions {
  readonly directory: ExportDirectory;
  readonly onEvent: (event: NbdListenerEvent) => void;
  /** 1024: QEMU has one for each disk of a VM, and all of a large host may come back at once. */
  readonly connectionsMax?: number;
  readonly handshakeTimeoutMs?: number;
  readonly halfClosedTimeoutMs?: number;
  /** Shared with other listeners; default: one of its own, of REPLY_BYTES_MAX. */
  readonly budget?: ReplyBudget;
  /** Keeps the event loop awake for clients that read on and on; default: one of its own. */
  readonly loop?: WakefulLoop;
  /** Clients must use TLS; default: they cannot. */
  readonly tlsGate?: TlsGate;
}

/** What only TCP has, unix sockets ignore. A client whose host is gone is noticed, which the kernel would take two hours for. */
const SOCKET_OPTIONS = {
  allowHalfOpen: true,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
};
const CONNECTIONS_MAX = 1024;

export class NbdListener {
  readonly #server: Server;
  readonly #options: NbdListenerOptions;
  readonly #budget: ReplyBudget;
  readonly #buffers = new ReplyBuffers();
  readonly #loop: WakefulLoop;
  readonly #connections = new Set<NbdConnection>();

  private constructor(options: NbdListenerOptions) {
    const { connectionsMax = CONNECTIONS_MAX, onEvent } = options;
    this.#options = options;
    this.#loop = options.loop ?? new WakefulLoop();
    this.#budget = options.budget ?? new ReplyBudget(REPLY_BYTES_MAX);
    this.#server = createServer(SOCKET_OPTIONS, (socket) => {
      const connection = new NbdConnection(socket, {
        directory: options.directory,
        budget: this.#budget,
        buffers: this.#buffers,
        loop: this.#loop,
        tlsGate: options.tlsGate,
        handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
        halfClosedTimeoutMs: options.halfClosedTimeoutMs ?? 10_000,
        onEnd: (ended, end) => this.#ended(ended, end),
      });
      this.#connections.add(connection);
      connection.start();
    });
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
    } else if (address.type === 'fd') {
      assertSocketAt(address.path);
      server.listen({ fd: address.fd });
    } else {
      server.listen({ host: address.host, port: address.port });
    }
    await listening(server, address);
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

  /** HOST:PORT of a TCP socket, an IPv6 address in brackets; undefined for others. */
  get address(): string | undefined {
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') return undefined;
    const { address, port } = bound;
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
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

async function listening(server: Server, address: ListenAddress): Promise<void> {
  try {
    await once(server, 'listening');
  } catch (error) {
    if (address.type !== 'tcp') throw error;
    throw new OperatorError(
      'nbd-port-unavailable',
      `Cannot listen for NBD clients on ${address.host} port ${address.port}: ${messageOf(error)}`,
      'Choose another address or port, or stop what uses it.',
      { cause: error },
    );
  }
}
