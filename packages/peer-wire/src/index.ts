export { type DialOptions, dialPeer } from './dial-peer.ts';
export { HAVE_BATCH_MAX } from './extension-messages.ts';
export { makePeerId, PEER_ID_RANDOM_BYTES } from './peer-id.ts';
export { type ListenOptions, PeerListener } from './peer-listener.ts';
export type { PeerWire, PeerWireHandlers, PieceSource, WireMessage } from './peer-wire.ts';
export type { WireOwner } from './wire-connection.ts';
export { WIRE_LIMITS, type WireLimits } from './wire-limits.ts';
export { makeFrameBuffers, type WireSwarm } from './wire-swarm.ts';
