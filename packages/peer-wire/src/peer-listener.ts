/**
 * Accepts connections for any number of swarms on one TCP port: the infohash of the handshake names the swarm.
 * Bounds how many strangers may be half-way in; whom a swarm keeps is the swarm's to decide.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import { formatAddress } from './dial-peer.ts';
import { reopenAccepted } from './socket-reads.ts';
import { WireConnection, type WireOwner } from './wire-connection.ts';
import { WIRE_LIMITS, type WireLimits } from './wire-limits.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** A bound socket that a parent holds, in place of host and port. */
  readonly fd?: number;
  /** The swarm with this infohash (40 hex digits), or undefined: then the connection closes. */
  readonly lookup: (infoHashHex: string) => WireOwner | undefined;
  /** A mistake of ours has cost the connection with this address, and no other: to be logged. */
  readonly onMistake: (error: unknown, address: string) => void;
  /** Connections in all. Default 256. */
  readonly connectionsMax?: number;
  /** Connections that are not identified yet. Default 64: a flood of them leaves the others alone. */
  readonly unidentifiedMax?: number;
  readonly limits?: Partial<WireLimits>;
}

const CONNECTIONS_MAX_DEFAULT = 256;
const UNIDENTIFIED_MAX_DEFAULT = 64;

export class PeerListener {
  readonly #options: ListenOptions;
  readonly #server: Server;
  /** Each with what resolves when its socket is gone. */
  readonly #connections = new Map<WireConnection, PromiseWithResolvers<void>>();
  readonly #unidentified = new Set<WireConnection>();

  private constructor(options: ListenOptions) {
    this.#options = options;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#onConnection(socket));
  }

  /** Rejects with OperatorError `peer-port-unavailable`. */
  static async listen(options: ListenOptions): Promise<PeerListener> {
    const listener = new PeerListener(options);
    await listener.#listen();
    return listener;
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** Connections open, those not identified included. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Accepts no more, closes every connection it accepted, and resolves when all are gone. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections.keys()) connection.close('listener-closed');
    const gone = [...this.#connections.values()].map(({ promise }) => promise);
    await Promise.all([closed, ...gone]);
  }

  #listen(): Promise<void> {
    const { host, port, fd } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (error: Error) =>
        reject(
          new OperatorError(
            'peer-port-unavailable',
            `Cannot listen for peers on ${formatAddress(host, port)}: ${errnoOf(error) ?? messageOf(error)}`,
            'Choose another peer address or port, or stop what uses it.',
            { cause: error },
          ),
        );
      this.#server.once('error', onError);
      this.#server.listen(fd === undefined ? { host, port } : { fd }, () => {
        this.#server.off('error', onError);
        // A failed accept (out of file descriptors) concerns a connection that never was: its peer dials again.
        this.#server.on('error', () => {});
        resolve();
      });
    });
  }

  #onConnection(socket: Socket): void {
    const { connectionsMax, unidentifiedMax } = this.#options;
    const { remoteAddress, remotePort } = socket;
    if (
      remoteAddress === undefined ||
      remotePort === undefined ||
      this.#connections.size >= (connectionsMax ?? CONNECTIONS_MAX_DEFAULT) ||
      this.#unidentified.size >= (unidentifiedMax ?? UNIDENTIFIED_MAX_DEFAULT)
    ) {
      // Gone before it was accepted, or one too many. An error of a socket nobody uses is nobody's.
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    this.#accept(socket, formatAddress(remoteAddress, remotePort));
  }

  #accept(accepted: Socket, address: string): void {
    const socket = reopenAccepted(accepted, (chunk) => connection.receive(chunk));
    const connection = new WireConnection({
      socket,
      address,
      limits: { ...WIRE_LIMITS, ...this.#options.limits },
      dialedFor: undefined,
      lookup: this.#options.lookup,
      onMistake: (error) => this.#options.onMistake(error, address),
      onReady: () => this.#unidentified.delete(connection),
      onGone: () => {
        this.#connections.delete(connection);
        this.#unidentified.delete(connection);
        gone.resolve();
      },
    });
    const gone = Promise.withResolvers<void>();
    this.#connections.set(connection, gone);
    this.#unidentified.add(connection);
    connection.start();
  }
}
