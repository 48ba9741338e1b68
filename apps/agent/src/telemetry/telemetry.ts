/** All that this agent says of itself: totals, alarms, errors, metrics and reports to the tracker, looked after once a second. */
import type { Metrics } from '@bootswarm/rest';
import { ProcessMetrics } from '@bootswarm/rest';
import type { Alarm } from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import type { AgentStatus } from '../api.ts';
import type { ImageLibrary } from '../image-library.ts';
import type { ImageSession } from '../image-session.ts';
import type { SignalClient } from '../signal-client.ts';
import { AgentAlarms } from './agent-alarms.ts';
import { AgentMetrics } from './agent-metrics.ts';
import type { ErrorCounts } from './error-counts.ts';
import { NodeReporter } from './node-reporter.ts';
import { NodeTotals } from './node-totals.ts';

export interface TelemetryOptions {
  readonly node: string;
  readonly cacheDir: string;
  readonly log: Logger;
  readonly library: ImageLibrary;
  readonly errors: ErrorCounts;
  status(): AgentStatus;
}

export class Telemetry {
  readonly #options: TelemetryOptions;
  readonly #totals = new NodeTotals();
  readonly #reporter = new NodeReporter(this.#totals);
  readonly #alarms: AgentAlarms;
  readonly #process = new ProcessMetrics();
  #metrics: AgentMetrics | undefined;

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#alarms = new AgentAlarms(options);
  }

  get errors(): ErrorCounts {
    return this.#options.errors;
  }

  get alarms(): Alarm[] {
    return this.#alarms.all;
  }

  /** What is counted by the images is looked at when somebody scrapes. */
  get metrics(): Metrics {
    this.#totals.update(this.#options.library.sessions);
    this.#metrics ??= new AgentMetrics({
      totals: this.#totals,
      alarms: this.#alarms,
      errors: this.#options.errors,
      process: this.#process,
      status: () => this.#options.status(),
      vmsBooting: () => this.#vmsBooting,
    });
    return this.#metrics.metrics;
  }

  /** A tracker has welcomed us. */
  welcomed(): void {
    this.#totals.update(this.#options.library.sessions);
    this.#reporter.restart(performance.now());
  }

  /** About once a second. */
  tick(signal: SignalClient): void {
    const { library, status } = this.#options;
    this.#totals.update(library.sessions);
    const { images, cache, nbd, tracker } = status();
    const { isConnected: isTrackerConnected } = tracker;
    this.#alarms.tick({ images, isTrackerConnected, isCacheFull: cache.isFull }, Date.now());
    for (const session of library.sessions) reportProgress(session, signal);
    if (!isTrackerConnected) return;
    const facts = {
      vmsBooting: this.#vmsBooting,
      vmsConnected: nbd.connections,
      cacheBytes: cache.bytesUsed,
      cacheBytesMax: cache.bytesMax ?? 0,
      alarms: this.alarms,
    };
    const report = this.#reporter.due(facts, performance.now());
    if (report !== undefined) signal.report(report);
  }

  close(): void {
    this.#process.close();
  }

  get #vmsBooting(): number {
    let count = 0;
    for (const { reader } of this.#options.library.sessions) count += reader.boots.booting;
    return count;
  }
}

function reportProgress(session: ImageSession, signal: SignalClient): void {
  const { stats } = session.reader.driver.snapshot();
  const { bytesFromPeers, bytesFromOrigin, bytesSent } = stats;
  const { piecesHad } = session;
  signal.progress(session.id, { piecesHad, bytesFromPeers, bytesFromOrigin, bytesSent });
}
