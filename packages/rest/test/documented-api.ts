/** What the route tests of both daemons look at: the OpenAPI document that is served, and the page that lists the metrics. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MetricFamily, type RouteName, routeKey } from '../src/index.ts';

const METRICS_PAGE = join(import.meta.dirname, '../../../docs/metrics.md');
const METRIC_ROW = /^\| `(bootswarm_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$/gm;

export interface ServedDocument {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, object>>;
}

/** `METHOD path` of all that the document has, sorted. */
export function operationsOf({ paths }: ServedDocument): string[] {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) =>
      routeKey({ method: method.toUpperCase(), path } as RouteName),
    ),
  );
  return operations.sort();
}

/** The path of a request: `key` is in the place of what is in braces. */
export function requestPath({ path }: RouteName, key: string): string {
  return path.replace(/\{.*\}/, key);
}

/** What the page's sections, `Of the agent` for instance, say: name, type, labels and help of each metric. */
export function documentedMetrics(...sections: readonly string[]): string[][] {
  const [, ...parts] = readFileSync(METRICS_PAGE, 'utf8').split(/^## /m);
  return sections.flatMap((section) => {
    const rows = parts.find((part) => part.startsWith(`${section}\n`))!.matchAll(METRIC_ROW);
    return [...rows].map(([, ...cells]) => cells);
  });
}

/** What the page has to say of these. */
export function metricRows(families: readonly MetricFamily[]): string[][] {
  return families.map(({ name, type, labels = [], help }) => [
    ...[name, type, labels.map((label) => `\`${label}\``).join(', '), help],
  ]);
}
