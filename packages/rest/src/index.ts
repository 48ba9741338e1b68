export { EVENT_STREAM_TYPE, EventStream, type EventStreamOptions } from './event-stream.ts';
export {
  type HistogramReading,
  METRICS_TYPE,
  type MetricFamily,
  Metrics,
  type Sample,
  sendMetrics,
} from './metrics.ts';
export { type ApiDescription, openApiDocument, type RouteDescription } from './openapi.ts';
export { type Problem, problemOf, ROUTE_STATUS, sendProblem } from './problem.ts';
export { ProcessMetrics } from './process-metrics.ts';
export { residentBytes } from './resident-bytes.ts';
export type { RouteName } from './route-table.ts';
export { type Found, type Method, parameterOf, RouteTable, routeKey } from './route-table.ts';
