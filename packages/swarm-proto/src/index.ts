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
export { MemberDirectory } from './member-directory.ts';
export {
  type PeerIdentity,
  type PeerMessage,
  PIECE_CLASSES,
  type PieceClass,
} from './peer-message.ts';
export { ReadAhead } from './read-ahead.ts';
export {
  noReceivedBytes,
  PIECE_SOURCES,
  type PieceSource,
  type ReceivedBytes,
} from './received-bytes.ts';
export { SwarmEngine, type SwarmEngineOptions } from './swarm-engine.ts';
export type { SwarmShape } from './swarm-state.ts';
export { TokenBucket } from './token-bucket.ts';
export { TouchBudget } from './touch-budget.ts';
