import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (name: string) =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number };
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

const { panels } = JSON.parse(read('grafana/bootswarm.json')) as Dashboard;
/** docs/metrics.md is compared with what the daemons tell by their own tests. */
const METRICS = new Map(
  [...read('metrics.md').matchAll(/^\| `(bootswarm_\w+)` \| (\w+) \| (.*?) ?\| /gm)].map(
    ([, name, type, labels]) => [name, { type, labels: labels.replaceAll('`', '').split(', ') }],
  ),
);
/** Of Prometheus itself. */
const OTHER_LABELS = ['le', 'job', 'instance'];

const familyOf = (name: string) => {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return METRICS.get(name) ?? (METRICS.get(base)?.type === 'histogram' && METRICS.get(base));
};

test('the dashboard asks for nothing that is not there', () => {
  expect(panels.length).toBeGreaterThan(10);
  for (const { title, targets } of panels) {
    for (const { expr, legendFormat } of targets) {
      const names = expr.match(/bootswarm_\w+/g) ?? [];
      expect([title, names.length > 0]).toEqual([title, true]);
      const families = names.map((name) => familyOf(name));
      expect([names, families.every(Boolean)]).toEqual([names, true]);
      const labels = families.flatMap((family) => (family ? family.labels : []));
      const used = [
        ...[...expr.matchAll(/(?:by|on) \(([^)]+)\)/g)].flatMap(([, each]) => each.split(', ')),
        ...[...expr.matchAll(/(\w+)="/g)].map(([, each]) => each),
        ...[...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, each]) => each),
      ];
      for (const label of used) expect([...labels, ...OTHER_LABELS]).toContain(label);
    }
  }
});

test('a rate is asked of counters only, and a counter never without one or a division', () => {
  for (const { targets } of panels) {
    for (const { expr } of targets) {
      for (const [, name] of expr.matchAll(/rate\((bootswarm_\w+)/g)) {
        const family = familyOf(name);
        expect([name, family && ['counter', 'histogram'].includes(family.type)]).toEqual([
          name,
          true,
        ]);
      }
    }
  }
});
