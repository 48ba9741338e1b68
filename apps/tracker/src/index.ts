export type * from './api.ts';
export type { GlanceSelection } from './glance/glance-follower.ts';
export type * from './origin-protocol.ts';
export { ORIGIN_LINE_BYTES_MAX } from './origin-protocol.ts';
export type * from './overview-api.ts';
export { WebPage } from './page/web-page.ts';
export { type RunningTracker, runTracker, type TrackerOptions } from './run-tracker.ts';
