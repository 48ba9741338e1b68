/** Opens a connection to a peer whose address is known. Whether and when to dial is the caller's. */
import { connect } from 'node:net';
import type { PeerWire, PeerWireHandlers } from './peer-wire.ts';
import { readsInto } from './socket-reads.ts';
import { WireConnection } from './wire-connection.ts';
import { WIRE_LIMITS, type WireLimits } from './wire-limits.ts';
import type { WireSwarm } from './wire-swarm.ts';

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly swarm: WireSwarm;
  readonly handlers: PeerWireHandlers;
  /** A mistake of ours has cost this connection, and no other: to be logged. */
  readonly onMistake: (error: unknown, address: string) => void;
  /** For the TCP connection; the handshakes have limits.handshakeTimeoutMs of their own. */
  readonly connectTimeoutMs: number;
  readonly limits?: Partial<WireLimits>;
}

/**
 * Returns at once; handlers hear onReady() or onClose(), of which the codes `connect-timeout` and `socket-…` mean that
 * no connection came about.
 */
export function dialPeer(options: DialOptions): PeerWire {
  const { host, port, swarm, handlers } = options;
  const address = formatAddress(host, port);
  const onread = readsInto(
    (chunk) => connection.receive(chunk),
    () => socket,
  );
  const socket = connect({ host, port, onread });
  const connection = new WireConnection({
    socket,
    address,
    limits: { ...WIRE_LIMITS, ...options.limits },
    dialedFor: { swarm, handlersFor: () => handlers },
    lookup: () => undefined,
    onReady: () => {},
    onMistake: (error) => options.onMistake(error, address),
    onGone: () => clearTimeout(timer),
  });
  const timer = setTimeout(() => connection.close('connect-timeout'), options.connectTimeoutMs);
  socket.once('connect', () => {
    clearTimeout(timer);
    connection.start();
  });
  return connection;
}

/** host:port, an IPv6 host in brackets. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
