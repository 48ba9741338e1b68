export { type BootTrace, parseBootTrace } from './boot-trace.ts';
export { MEASURED_COSTS, type SimCosts } from './sim-costs.ts';
export { runStorm, type StormOptions, type StormResult } from './storm.ts';
