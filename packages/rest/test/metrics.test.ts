import { expect, test } from 'vitest';
import { type MetricFamily, Metrics, ProcessMetrics } from '../src/index.ts';

const gauge = (name: string): MetricFamily => ({ name, type: 'gauge', help: 'h', read: () => 1 });

test('writes values with their labels, escaped, as Prometheus reads them', () => {
  const metrics = new Metrics([
    {
      ...{ name: 'bootswarm_x_bytes_total', type: 'counter', help: 'Bytes.', labels: ['name'] },
      read: () => [
        { labels: { name: 'a "b" \\ \n' }, value: 1.5 },
        { labels: { name: 'c' }, value: Number.POSITIVE_INFINITY },
      ],
    },
    gauge('bootswarm_up'),
  ]);
  expect(metrics.text()).toBe(
    [
      '# HELP bootswarm_x_bytes_total Bytes.',
      '# TYPE bootswarm_x_bytes_total counter',
      'bootswarm_x_bytes_total{name="a \\"b\\" \\\\ \\n"} 1.5',
      'bootswarm_x_bytes_total{name="c"} +Inf',
      '# HELP bootswarm_up h',
      '# TYPE bootswarm_up gauge',
      'bootswarm_up 1',
      '',
    ].join('\n'),
  );
});

test('cumulates the buckets of a histogram', () => {
  const metrics = new Metrics([
    {
      ...{ name: 'bootswarm_wait_seconds', type: 'histogram', help: 'h' },
      read: () => [{ bounds: [0.1, 1], counts: [2, 1, 4], sum: 9.5 }],
    },
  ]);
  expect(metrics.text().split('\n').slice(2)).toEqual([
    'bootswarm_wait_seconds_bucket{le="0.1"} 2',
    'bootswarm_wait_seconds_bucket{le="1"} 3',
    'bootswarm_wait_seconds_bucket{le="+Inf"} 7',
    'bootswarm_wait_seconds_sum 9.5',
    'bootswarm_wait_seconds_count 7',
    '',
  ]);
});

test.each(['x_bytes', 'bootswarm_x_ms', 'bootswarm_X', 'bootswarm_x_total'])(
  'takes no gauge of the name %s',
  (name) => {
    expect(() => new Metrics([gauge(name)])).toThrow(name);
  },
);

test('takes no name twice, and no label that was not declared', () => {
  expect(() => new Metrics([gauge('bootswarm_x'), gauge('bootswarm_x')])).toThrow('twice');
  const read = () => [{ labels: { y: '1' }, value: 1 }];
  const metrics = new Metrics([{ ...{ name: 'bootswarm_x', type: 'gauge', help: 'h' }, read }]);
  expect(() => metrics.text()).toThrow('labels y');
});

test('tells of its own process what can be told of any', () => {
  const own = new ProcessMetrics();
  const text = new Metrics(own.families).text();
  own.close();
  expect(text).toMatch(/^bootswarm_resident_memory_bytes \d{7,}$/m);
  expect(text).toMatch(/^bootswarm_event_loop_lag_seconds\{quantile="0.99"\} [\d.e-]+$/m);
});
