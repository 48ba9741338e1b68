export { BootOrderFollower, type KindChange } from './boot-order-follower.ts';
export { type BootEffect, BootWatch } from './boot-watch.ts';
export type {
  EngineSnapshot,
  OriginReason,
  PeerId,
  SwarmEffect,
  SwarmInput,
  SwarmMember,
  SwarmStats,
} from './engine-io.ts';
export { FirstTouches, type TouchBatch } from './first-touches.ts';
export { DEFAULT_LIMITS, type SwarmLimits } from './limits.ts';
export {
  type PeerIdentity,
  type PeerMessage,
  PIECE_CLASSES,
  type PieceClass,
} from './peer-message.ts';
export { RelayTree, STRIPES } from './relay-tree.ts';
export { SwarmEngine, type SwarmEngineOptions } from './swarm-engine.ts';
export type { SwarmShape } from './swarm-state.ts';
