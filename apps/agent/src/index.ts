export type { AgentOptions } from './agent-options.ts';
export type * from './api.ts';
export { FILL_MODES, type FillMode } from './fill-policy.ts';
export { KnownImages } from './known-images.ts';
export { readNovaConfig } from './nova/nova-config.ts';
export { type RunningAgent, runAgent } from './run-agent.ts';
export { startWatchdog, type Watchdog } from './watchdog.ts';
