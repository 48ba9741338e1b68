import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findAgent, isThisHost, runDirectory, trackerUrl } from '../src/daemons.ts';

let runDir: string;

beforeAll(() => {
  runDir = mkdtempSync(join(tmpdir(), 'bootswarm-daemons-'));
  writeFileSync(join(runDir, 'agent.json'), JSON.stringify({ trackerUrl: 'http://10.0.0.9:7420' }));
});

afterAll(() => rmSync(runDir, { recursive: true }));

test('takes --tracker before BOOTSWARM_TRACKER before what the agent says', () => {
  const env = { BOOTSWARM_TRACKER: 'http://env:1', BOOTSWARM_RUN: runDir };
  expect(trackerUrl({ tracker: 'http://flag:1/' }, env).origin).toBe('http://flag:1');
  expect(trackerUrl({}, env).origin).toBe('http://env:1');
  expect(trackerUrl({}, { BOOTSWARM_RUN: runDir }).origin).toBe('http://10.0.0.9:7420');
});

test('looks for a tracker on this host when nobody says where it is', () => {
  expect(trackerUrl({}, { BOOTSWARM_RUN: '/nonexistent' }).origin).toBe('http://127.0.0.1:7420');
});

test('ignores an agent.json that makes no sense', () => {
  const dir = mkdtempSync(join(tmpdir(), 'bootswarm-daemons-'));
  for (const content of ['', '{', 'null', '{"trackerUrl":7}']) {
    writeFileSync(join(dir, 'agent.json'), content);
    expect(trackerUrl({}, { BOOTSWARM_RUN: dir }).origin).toBe('http://127.0.0.1:7420');
  }
  rmSync(dir, { recursive: true });
});

test.each(['', 'ftp://x', '127.0.0.1:7420', '/run/x', 'http://'])(
  'refuses %o as a tracker',
  (tracker) => {
    const given = tracker === '' ? { BOOTSWARM_TRACKER: 'no url' } : {};
    expect(() => trackerUrl({ tracker }, { BOOTSWARM_RUN: '/nonexistent', ...given })).toThrow(
      /is not the URL of a tracker/,
    );
  },
);

test('takes --run before BOOTSWARM_RUN before /run/bootswarm', () => {
  expect(runDirectory({ run: '/a' }, { BOOTSWARM_RUN: '/b' })).toBe('/a');
  expect(runDirectory({}, { BOOTSWARM_RUN: '/b' })).toBe('/b');
  expect(runDirectory({}, {})).toBe('/run/bootswarm');
  expect(findAgent({ run: '/a' }, {}).endpoint).toEqual({ type: 'unix', path: '/a/agent.sock' });
});

test.each([
  ['http://127.0.0.1:1', true],
  ['http://127.9.9.9:1', true],
  ['http://[::1]:1', true],
  ['http://localhost:1', true],
  [`http://${hostname()}:1`, true],
  ['http://127.0.0.1.example.com:1', false],
  ['http://192.0.2.1:1', false],
  ['http://example.com', false],
])('tells whether %s is this host: %s', (url, expected) => {
  expect(isThisHost(new URL(url))).toBe(expected);
});
