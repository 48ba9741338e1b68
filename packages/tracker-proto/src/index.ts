export {
  ALARM_CODES,
  type Alarm,
  AlarmBoard,
  type AlarmChange,
  type AlarmCode,
  type Condition,
  diskNearlyFull,
  FALLBACK_REASONS,
  FallbackRule,
  readWaiting,
  SpreadRule,
} from './alarms.ts';
export { BOOT_PIECES_MAX, type PieceRecord } from './boot-kind.ts';
export { BootOrderBook, KINDS_MAX, type KindRecord } from './boot-order-book.ts';
export { MemberOrder } from './member-order.ts';
export {
  AGENT_MESSAGE_BYTES_MAX,
  decodeAgentMessage,
  decodeTrackerMessage,
  encodeAgentMessage,
  encodeTrackerMessage,
  TRACKER_MESSAGE_BYTES_MAX,
} from './message-codec.ts';
export { isHost, isName, MEMBERS_MAX, SUSPECTS_MAX } from './message-schema.ts';
export type {
  AgentMessage,
  KindOrder,
  Member,
  NodeAlarm,
  NodeIdentity,
  NodeReport,
  OriginReads,
  PeerAddress,
  TrackerMessage,
} from './messages.ts';
export { SIGNALLING_VERSION } from './messages.ts';
export { chooseNodes, type NodePlace, type PrefetchScope } from './prefetch-choice.ts';
export {
  type NodePrefetch,
  PREFETCH_ID,
  PREFETCHES_MAX,
  PRIORITY_MAX,
  type PrefetchEffect,
  type PrefetchEnd,
  type PrefetchRecord,
  type PrefetchSpec,
  type PrefetchState,
  type PrefetchStats,
  type PrefetchTask,
} from './prefetch-order.ts';
export { PrefetchOrderBook } from './prefetch-order-book.ts';
export type {
  BootOrderStats,
  CloseCode,
  Connection,
  MemberProgress,
  NodeStats,
  RegistryEffect,
  RegistryInput,
  RegistryLimits,
  SwarmStats,
} from './registry-io.ts';
export { LIMITS } from './registry-io.ts';
export { ALARMS_MAX, ORIGIN_READS_MAX, reportText } from './report-schema.ts';
export { SwarmRegistry } from './swarm-registry.ts';
