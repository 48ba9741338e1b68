export { MemberOrder } from './member-order.ts';
export {
  AGENT_MESSAGE_BYTES_MAX,
  decodeAgentMessage,
  decodeTrackerMessage,
  encodeAgentMessage,
  encodeTrackerMessage,
  TRACKER_MESSAGE_BYTES_MAX,
} from './message-codec.ts';
export { isHost, isName, MEMBERS_MAX } from './message-schema.ts';
export type { AgentMessage, Member, PeerAddress, TrackerMessage } from './messages.ts';
export { SIGNALLING_VERSION } from './messages.ts';
export type {
  CloseCode,
  Connection,
  RegistryEffect,
  RegistryInput,
  RegistryLimits,
} from './registry-io.ts';
export { LIMITS } from './registry-io.ts';
export type { MemberProgress } from './swarm.ts';
export type { NodeStats, SwarmStats } from './swarm-registry.ts';
export { SwarmRegistry } from './swarm-registry.ts';
