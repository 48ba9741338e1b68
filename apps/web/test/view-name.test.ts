import { expect, test } from 'vitest';
import { viewOf } from '../src/view-name.ts';

test.each([
  ['', 'storm'],
  ['#/nodes', 'nodes'],
  ['#/alarms', 'alarms'],
  ['#/constructor', 'storm'],
  ['#nodes', 'storm'],
])('the address %j names %s', (hash, view) => {
  expect(viewOf(hash)).toBe(view);
});
