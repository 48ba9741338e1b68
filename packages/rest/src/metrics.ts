/**
 * Metrics in Prometheus' text format (0.0.4). Families are declared once with the function that reads them, which is called when
 * somebody scrapes and at no other time: what is counted is counted elsewhere already.
 */
import type { ServerResponse } from 'node:http';
import { assert } from '@bootswarm/stdx';

export type MetricType = 'counter' | 'gauge' | 'histogram';

/** One value with its labels. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What was observed so far: how many were at most each bound, and beyond the last; their sum. */
export interface HistogramReading {
  readonly labels?: Readonly<Record<string, string>>;
  readonly bounds: readonly number[];
  /** Per bucket, not cumulated; one more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface FamilyBase {
  /** `bootswarm_` and what is counted, with its unit last; counters end in `_total`. */
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

export type MetricFamily =
  | (FamilyBase & { readonly type: 'counter' | 'gauge'; read(): Iterable<Sample> | number })
  | (FamilyBase & { readonly type: 'histogram'; read(): Iterable<HistogramReading> });

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export class Metrics {
  readonly families: readonly MetricFamily[];

  constructor(families: readonly MetricFamily[]) {
    const names = new Set(families.map(({ name }) => name));
    assert(names.size === families.length, 'a metric is declared twice');
    for (const family of families) assertConventional(family);
    this.families = families;
  }

  /** All of them, as of now. */
  text(): string {
    const lines: string[] = [];
    for (const family of this.families) {
      const { name, help, type } = family;
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      if (family.type === 'histogram') {
        for (const each of family.read()) lines.push(...histogramLines(family, each));
        continue;
      }
      const read = family.read();
      const samples = typeof read === 'number' ? [{ value: read }] : read;
      for (const { labels, value } of samples) lines.push(sampleLine(family, name, value, labels));
    }
    return `${lines.join('\n')}\n`;
  }
}

export function sendMetrics(response: ServerResponse, metrics: Metrics): void {
  const body = metrics.text();
  response.writeHead(200, {
    'content-type': METRICS_TYPE,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}

/** https://prometheus.io/docs/practices/naming: base units, in the plural, as a suffix. */
function assertConventional({ name, type, labels = [] }: MetricFamily): void {
  assert(/^bootswarm(_[a-z0-9]+)+$/.test(name), `${name} is no name of a metric of ours`);
  assert((type === 'counter') === name.endsWith('_total'), `${name} is a ${type}`);
  assert(!/_(ms|milliseconds|mib|kib|percent)(_|$)/.test(name), `${name}: seconds, bytes, ratio`);
  for (const label of labels) assert(/^[a-z][a-z_]*$/.test(label), `${name} has a label ${label}`);
}

function histogramLines(
  family: MetricFamily,
  { labels = {}, bounds, counts, sum }: HistogramReading,
): string[] {
  const { name } = family;
  assert(counts.length === bounds.length + 1, `${name} has a bucket too many or too few`);
  let total = 0;
  const buckets = counts.map((count, at) => {
    total += count;
    const le = at === bounds.length ? '+Inf' : String(bounds[at]);
    return line(`${name}_bucket`, total, { ...labels, le });
  });
  return [...buckets, line(`${name}_sum`, sum, labels), line(`${name}_count`, total, labels)];
}

function sampleLine(
  { name, labels: declared = [] }: MetricFamily,
  as: string,
  value: number,
  labels: Readonly<Record<string, string>> = {},
): string {
  const given = Object.keys(labels);
  const isDeclared = given.length === declared.length && given.every((at) => declared.includes(at));
  assert(isDeclared, `${name} was read with the labels ${given.join()}`);
  return line(as, value, labels);
}

function line(name: string, value: number, labels: Readonly<Record<string, string>>): string {
  const inner = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${inner.length === 0 ? '' : `{${inner.join(',')}}`} ${textOf(value)}`;
}

function textOf(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
