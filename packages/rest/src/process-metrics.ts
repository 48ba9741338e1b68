/** What any daemon can say of its own process: memory, CPU, and how late its event loop is. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { MetricFamily, Sample } from './metrics.ts';
import { residentBytes } from './resident-bytes.ts';

/** A timer that often measures how late it is, in native code. */
const RESOLUTION_MS = 20;
const QUANTILES = [0.5, 0.99, 1];

export class ProcessMetrics {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #startedAt = performance.now();

  constructor() {
    this.#delay.enable();
  }

  get families(): MetricFamily[] {
    return [
      {
        name: 'bootswarm_event_loop_lag_seconds',
        type: 'gauge',
        help: 'How late the event loop was since the last scrape.',
        labels: ['quantile'],
        read: () => this.#lag(),
      },
      {
        name: 'bootswarm_resident_memory_bytes',
        type: 'gauge',
        help: 'Memory of the process.',
        read: residentBytes,
      },
      {
        name: 'bootswarm_cpu_seconds_total',
        type: 'counter',
        help: 'CPU that the process has used.',
        read: () => {
          const { user, system } = process.cpuUsage();
          return (user + system) / 1e6;
        },
      },
      {
        name: 'bootswarm_uptime_seconds',
        type: 'gauge',
        help: 'Since the process was started.',
        read: () => (performance.now() - this.#startedAt) / 1_000,
      },
    ];
  }

  close(): void {
    this.#delay.disable();
  }

  /** The timer's own interval is no lag. */
  #lag(): Sample[] {
    const samples = QUANTILES.map((quantile) => {
      const ms = this.#delay.count === 0 ? 0 : this.#delay.percentile(quantile * 100) / 1e6;
      const value = Math.max(0, ms - RESOLUTION_MS) / 1_000;
      return { labels: { quantile: String(quantile) }, value };
    });
    this.#delay.reset();
    return samples;
  }
}
