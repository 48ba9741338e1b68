export {
  type BootTrace,
  parseBootTrace,
  piecesOf,
  type TracePieces,
  type TraceRead,
} from './boot-trace.ts';
export {
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  faultOf,
  hitsNodes,
  isForGood,
  nodesHitBy,
} from './faults.ts';
export { type Boot, type GuestFigures, guestFigures, timesOf } from './guest-figures.ts';
export { bytesOfHandshake, bytesOfMessage } from './message-size.ts';
export { MEASURED_COSTS, type SimCosts } from './sim-costs.ts';
export { runStorm } from './storm.ts';
export { POLICY_NAMES, type PolicyName, type StormOptions } from './storm-options.ts';
export type { StormCurves, StormResult } from './storm-result.ts';
