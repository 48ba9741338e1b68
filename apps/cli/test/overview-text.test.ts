import type { Overview } from '@bootswarm/tracker';
import { afterEach, expect, test } from 'vitest';
import { runCli } from '../src/cli.ts';
import { describeOverview, OverviewHistory } from '../src/overview-text.ts';
import { textWidth } from '../src/terminal-text.ts';
import { capturedTerminal } from './captured-terminal.ts';
import { type FakeDaemon, fakeDaemon, json } from './fake-daemon.ts';

const MIB = 2 ** 20;
const sampleAt = (at: number, vmsBooting = 0) => ({
  ...{ at, vmsBooting, read: { cache: Math.min(1_023, at * at) * MIB, peers: 0, origin: 0 } },
  received: { cache: 0, peers: MIB, origin: 0 },
});
const time = '2026-01-02T03:04:05.000Z';

const OVERVIEW: Overview = {
  at: time,
  tracker: { version: '1.0.0', uptimeSeconds: 9, agents: 2, hasOrigin: true },
  ...{ now: sampleAt(102, 7), samples: [sampleAt(100), sampleAt(101, 4), sampleAt(102, 7)] },
  storm: {
    ...{ startedAt: time, endedAt: null, vmsBootingMax: 10_000, originShare: 0.021 },
    read: { cache: 3 * MIB, peers: 2 * MIB, origin: MIB },
    received: { cache: 0, peers: 2 * MIB, origin: MIB },
  },
  images: [
    {
      ...{ id: 'a'.repeat(40), name: '5f6a2c1e-0b7d-4c3a-9e8f-1a2b3c4d5e6f', length: 2 ** 30 },
      title: `debian-12-${'x'.repeat(80)}`,
      ...{ pieceCount: 16_384, dataBytes: 2 ** 29, state: 'ready', members: 2, complete: 1 },
      ...{ spread: [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1], receivedFromPeers: MIB },
      ...{ receivedFromOrigin: 2 ** 28, originCopies: 0.5 },
      bootOrder: [{ boots: 1, pieces: 700, bytes: 1, lastLearnedAt: time }],
    },
  ],
  zones: [],
  nodes: ['idle', 'alarm'].map((state, at) => ({
    ...{ node: `node-${at}`, zone: 'z', rack: 'r', address: 'h:1', images: 1, vmsBooting: at },
    ...{ state: state as 'idle' | 'alarm', vmsConnected: 1, bytesPerSecond: MIB },
    ...{ read: someBytes(), received: someBytes(), cacheBytes: 0, cacheBytesMax: 0 },
  })),
  nodesLeftOut: 5,
  originReads: [
    ...[{ at: time, node: 'node-1', image: 'a'.repeat(40), imageName: 'debian-12' }].map(
      (each) => ({
        ...each,
        ...{ reason: 'holder-late', pieces: 3 },
      }),
    ),
  ],
  originReasons: { 'holder-late': 3 },
  alarms: [
    {
      ...{ code: 'read-waiting', node: 'node-1\u001b[31m', subject: 'debian-12' },
      ...{ reason: '2 reads wait', hint: 'h', since: time },
    },
  ],
};

function someBytes() {
  return { cache: MIB, peers: 2 * MIB, origin: 0 };
}

let daemon: FakeDaemon | undefined;
afterEach(() => daemon?.close());

test('fits 80 columns, and says what is the matter', () => {
  const now = { ...OVERVIEW.now, vmsBooting: 9_999 };
  const lines = describeOverview({ ...OVERVIEW, now }, 80);
  for (const line of lines) expect([line, textWidth(line) <= 80]).toEqual([line, true]);
  const text = lines.join('\n');
  const since = '9,999 VMs boot (10,000 at most) since 03:04:05; 2.1 % from the origin';
  expect(text).toContain(`STORM    ${since}\n`);
  expect(text).toContain('guests read: 3 MiB cache, 2 MiB peers, 1 MiB origin\n');
  expect(text).toMatch(/^booting +▅█ {2}7$/m);
  // The widest rate that there is.
  expect(text).toMatch(/^cache +██+ {2}1023 MiB\/s$/m);
  expect(text).toContain('ALARM    node-1\\u{1b}[31m: read-waiting, debian-12: 2 reads wait');
  expect(text).toMatch(/^debian-12-x+… +2 +1 +700 pieces\/1 boot +1 MiB +256 MiB +0\.50$/m);
  // The most interesting first.
  expect(text.indexOf('node-1  ')).toBeLessThan(text.indexOf('node-0  '));
  expect(text).toContain('and 5 more nodes');
  // Why comes before what may have to be cut.
  expect(text).toContain(
    '03:04:05 node-1 asked the origin for 3 pieces (holder-late) of debian-12-x',
  );
});

test('shows a storm that is over, and a minute of it where there is room', () => {
  const samples = Array.from({ length: 60 }, (_, index) => sampleAt(index, 1));
  const storm = { ...OVERVIEW.storm!, endedAt: time, vmsBootingMax: 1 };
  const [wide, narrow] = [120, 80].map((width) =>
    describeOverview({ ...OVERVIEW, storm, samples }, width),
  );
  expect(wide[1]).toBe('storm    1 VM at most, 03:04:05 to 03:04:05; 2.1 % from the origin');
  expect(wide).toContain(`booting  ${'█'.repeat(60)}  1`);
  expect(narrow).toContain(`booting  ${'█'.repeat(59)}  1`);
});

test('shows an empty cloud', () => {
  const nothing = { images: [], nodes: [], nodesLeftOut: 0, alarms: [], originReads: [] };
  const lines = describeOverview({ ...OVERVIEW, ...nothing, storm: null }, 80);
  expect(lines[1]).toBe('no VM has booted since the tracker was started');
});

test('keeps a minute of the seconds that events bring, each once', () => {
  const history = new OverviewHistory();
  for (let at = 100; at <= 200; at += 1) {
    const samples = [sampleAt(at - 1), sampleAt(at)];
    const merged = history.merged({ ...OVERVIEW, now: sampleAt(at), samples });
    expect(merged.samples.length).toBeLessThanOrEqual(60);
    expect(new Set(merged.samples.map((each) => each.at)).size).toBe(merged.samples.length);
  }
});

/** Served in turn; a text is a stream that ends after it, and after the last the tracker knows the route no more. */
async function watch(args: readonly string[], answers: string[], tty = {}) {
  daemon = await fakeDaemon((_, response) => {
    const events = answers.shift();
    const gone = { code: 'route-not-found', title: 't', detail: 'There is nothing', hint: 'Look.' };
    if (events === undefined) return json(response, 404, gone);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    // Cut where it is cut on a network: anywhere.
    response.write(events.slice(0, 100));
    response.end(events.slice(100));
  });
  const { endpoint } = daemon;
  const url = endpoint.type === 'tcp' ? endpoint.url.origin : '';
  const terminal = capturedTerminal();
  Object.assign(terminal.stdout, tty);
  const code = await runCli(['watch', '--tracker', url, ...args], terminal);
  expect(daemon.requests[0].url).toBe('/v1/overview/stream');
  return { code, out: terminal.out, err: terminal.err };
}

const eventOf = (overview: Overview): string =>
  `event: overview\ndata: ${JSON.stringify(overview)}\n\n`;

test('watch prints each overview on a line with --json, and says beside them that the tracker is away', async () => {
  const { code, out, err } = await watch(
    ['--json'],
    [eventOf(OVERVIEW).repeat(2), '', eventOf(OVERVIEW)],
  );
  const lines = out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual([OVERVIEW, OVERVIEW, OVERVIEW]);
  // Once each time, however often it is tried; what the tracker refuses is no reason to try again.
  const away = 'bootswarm: the tracker has ended the stream; trying again\n';
  expect(err).toBe(`${away.repeat(2)}bootswarm: There is nothing\n  → Look.\n`);
  expect(code).toBe(1);
});

test('watch leaves the last picture on a terminal while the tracker is away, with what it then says', async () => {
  const before = { ...OVERVIEW, samples: [sampleAt(OVERVIEW.now.at - 1), OVERVIEW.now] };
  const after = { ...OVERVIEW, samples: [] };
  const tty = { isTTY: true, columns: 80, rows: 50 };
  const { out } = await watch([], [eventOf(before), eventOf(after)], tty);
  const pictures = out.split('\u001b[H').slice(1);
  expect(pictures).toHaveLength(4);
  const [shown, lost, again] = pictures.map((each) => each.replaceAll('\u001b[K', ''));
  expect(lost).toBe(`LOST     the tracker has ended the stream; trying again\n\n${shown}`);
  // A tracker that was started anew knows nothing of what was before.
  expect(again).toMatch(/^booting +0$/m);
  expect(shown).not.toMatch(/^booting +0$/m);
});

test('watch ends when the tracker was not there in the first place', async () => {
  expect(await watch([], [''])).toMatchObject({
    code: 1,
    err: expect.stringContaining('the tracker has ended the stream\n  → look whether it runs'),
  });
});
