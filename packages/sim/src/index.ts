export {
  type BootTrace,
  parseBootTrace,
  piecesOf,
  type TracePieces,
  type TraceRead,
} from './boot-trace.ts';
export { percentile } from './percentile.ts';
export { MEASURED_COSTS, type SimCosts } from './sim-costs.ts';
export { runStorm, type StormOptions, type StormResult } from './storm.ts';
