import { expect, test } from 'vitest';
import { bootswarm } from '../cluster.ts';

test('the demo boots its VMs, every sum right, and the origin sends each needed byte once', async () => {
  const { code, stdout, stderr } = await bootswarm('demo', '--agents', '2', '--vms', '3');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const summary = /3\/3 VMs booted, origin sent (\d+\.\d\d) x the bytes needed/.exec(stdout);
  expect(Number(summary?.[1])).toBeLessThanOrEqual(1.05);
});
