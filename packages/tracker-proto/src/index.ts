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
