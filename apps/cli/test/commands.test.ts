import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentStatus, VmInfo } from '@bootswarm/agent';
import type { ImageSummary, PublishEvent } from '@bootswarm/tracker';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli } from '../src/cli.ts';
import { type CapturedTerminal, capturedTerminal } from './captured-terminal.ts';
import { type FakeDaemon, fakeDaemon, json } from './fake-daemon.ts';

const IMAGE: ImageSummary = {
  id: 'ab'.repeat(20),
  name: 'debian-12',
  length: 2 ** 31,
  pieceLength: 65_536,
  pieceCount: 32_768,
  zeroPieces: 16_384,
  createdAt: '2026-11-21T00:00:00Z',
  source: '/srv/debian-12.qcow2',
  sourceFormat: 'qcow2',
  prejoin: 'all',
  state: 'ready',
};

let dir: string;
let daemon: FakeDaemon | undefined;
let events: PublishEvent[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bootswarm-cli-'));
  events = [{ type: 'published', image: IMAGE, alreadyThere: false, seconds: 1.25 }];
});

afterEach(async () => {
  await daemon?.close();
  rmSync(dir, { recursive: true });
});

/** A tracker on this host whose data directory is `dir`. */
async function tracker(env: Record<string, string> = {}): Promise<CapturedTerminal> {
  daemon = await fakeDaemon(({ method, url }, to) => {
    if (url === '/healthz') json(to, 200, { dataDir: dir });
    else if (method === 'POST')
      to.end(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    else if (method === 'DELETE') to.writeHead(204).end();
    else if (url === '/v1/images') json(to, 200, { images: [IMAGE] });
    else if (url.endsWith('/boot-order')) json(to, 200, { image: IMAGE.id, kinds: KINDS });
    else if (url === '/v1/swarms') json(to, 200, { swarms: [] });
    else json(to, 200, IMAGE);
  });
  const { endpoint } = daemon;
  const url = endpoint.type === 'tcp' ? endpoint.url.origin : '';
  return capturedTerminal({ BOOTSWARM_TRACKER: url, ...env });
}

test('publishes a file under its absolute path with the token of the tracker on this host', async () => {
  writeFileSync(join(dir, 'admin.token'), 'secret\n');
  writeFileSync(join(dir, 'disk.raw'), '');
  const terminal = await tracker();
  const file = join(dir, '.', 'disk.raw');
  expect(await runCli(['publish', file, '--name', 'd', '--in-place'], terminal)).toBe(0);
  const request = daemon?.requests.at(-1);
  expect(request?.authorization).toBe('Bearer secret');
  expect(JSON.parse(request?.body ?? '')).toEqual({ source: file, name: 'd', inPlace: true });
  expect(terminal.out).toContain('debian-12 published in 1.3 s');
  expect(terminal.out).toContain(IMAGE.id);
});

test('passes on whether agents join ahead, and shows it', async () => {
  const terminal = await tracker({ BOOTSWARM_TOKEN: 't' });
  expect(await runCli(['publish', 'http://x/y', '--prejoin', 'none'], terminal)).toBe(0);
  expect(JSON.parse(daemon?.requests.at(-1)?.body ?? '')).toEqual({
    ...{ source: 'http://x/y', prejoin: 'none' },
  });
  expect(await runCli(['images', 'show', 'debian-12'], terminal)).toBe(0);
  expect(terminal.out).toContain('prejoin    all agents\n');
  const json = await tracker();
  expect(await runCli(['images', 'show', 'debian-12', '--json'], json)).toBe(0);
  expect(JSON.parse(json.out)).toMatchObject({ image: { prejoin: 'all' } });
  expect(await runCli(['publish', 'http://x/y', '--prejoin', 'some'], terminal)).toBe(2);
});

const KINDS = [
  { boots: 1_000, pieces: 648, bytes: 41 * 2 ** 20, lastLearnedAt: '2026-01-02T03:04:05.000Z' },
  { boots: 3, pieces: 90, bytes: 2 ** 20, lastLearnedAt: '2026-01-01T00:00:00.000Z' },
];

test('says that a file is missing before it asks anybody', async () => {
  const terminal = await tracker();
  expect(await runCli(['publish', join(dir, 'no.raw')], terminal)).toBe(1);
  expect(terminal.err).toContain(`bootswarm: cannot publish ${dir}/no.raw: ENOENT`);
  expect(daemon?.requests).toEqual([]);
});

test('passes a URL on as it is, and prefers BOOTSWARM_TOKEN', async () => {
  const terminal = await tracker({ BOOTSWARM_TOKEN: 'given' });
  expect(await runCli(['publish', 'https://example.com/a.qcow2'], terminal)).toBe(0);
  expect(daemon?.requests).toHaveLength(1);
  expect(daemon?.requests[0]).toMatchObject({
    authorization: 'Bearer given',
    body: '{"source":"https://example.com/a.qcow2"}',
  });
});

test('says how to give the token when it cannot be read', async () => {
  const terminal = await tracker();
  expect(await runCli(['withdraw', 'debian-12'], terminal)).toBe(1);
  expect(terminal.err).toMatch(/admin token: ENOENT[^\n]*\n {2}→ set BOOTSWARM_TOKEN/);
});

test('prints the last event alone with --json', async () => {
  events.unshift({ type: 'progress', stage: 'hash', bytesDone: 1, bytesTotal: 2 });
  const terminal = await tracker({ BOOTSWARM_TOKEN: 't' });
  expect(await runCli(['publish', 'http://x/y', '--json'], terminal)).toBe(0);
  expect(JSON.parse(terminal.out)).toEqual(events[1]);
  expect(terminal.err).toBe('');
});

test('shows progress as lines on standard error where there is no terminal', async () => {
  events.unshift({ type: 'progress', stage: 'hash', bytesDone: 2 ** 20, bytesTotal: 2 ** 21 });
  const terminal = await tracker({ BOOTSWARM_TOKEN: 't' });
  expect(await runCli(['publish', 'http://x/y'], terminal)).toBe(0);
  expect(terminal.err).toBe('hash: 1 MiB of 2 MiB\n');
});

test('fails with what the tracker says when a publish fails', async () => {
  events = [{ type: 'failed', code: 'bad-image', message: 'it is no image', hint: 'give one' }];
  const terminal = await tracker({ BOOTSWARM_TOKEN: 't' });
  expect(await runCli(['publish', 'http://x/y'], terminal)).toBe(1);
  expect(terminal.err).toBe('bootswarm: it is no image\n  → give one\n');
});

test('fails when the tracker stops in the middle of a publish', async () => {
  events = [{ type: 'progress', stage: 'hash', bytesDone: 1, bytesTotal: 2 }];
  const terminal = await tracker({ BOOTSWARM_TOKEN: 't' });
  expect(await runCli(['publish', 'http://x/y', '--json'], terminal)).toBe(1);
  expect(terminal.err).toContain('ended its answer before http://x/y was published');
});

test('lists images and shows one, as text and as JSON', async () => {
  const terminal = await tracker();
  expect(await runCli(['images'], terminal)).toBe(0);
  expect(terminal.out).toMatch(/^NAME .*\ndebian-12 +abababababab +2 GiB +1 GiB +ready /);
  const show = await tracker();
  expect(await runCli(['images', 'show', 'a/b', '--json'], show)).toBe(0);
  expect(JSON.parse(show.out)).toEqual({ image: IMAGE, bootOrders: KINDS });
  expect(daemon?.requests[0].url).toBe('/v1/images/a%2Fb');
});

test('shows the boot orders that were learned of an image, by kind of VM', async () => {
  const terminal = await tracker();
  expect(await runCli(['images', 'show', 'debian-12'], terminal)).toBe(0);
  expect(terminal.out).toContain('\nboots      2 kinds of VM\n');
  expect(terminal.out).toMatch(/\n1 +1000 +648 +41 MiB +2026-01-02T03:04:05\.000Z\n2 +3 +90 /);
});

test('prints overlay, QEMU command and libvirt disk of a new VM', async () => {
  const vm: VmInfo = {
    ...{ name: 'web-1', image: IMAGE.id, imageName: 'debian-12', overlay: '/vms/web-1.qcow2' },
    ...{ socket: '/run/x/nbd.sock', export: IMAGE.id, libvirtDiskXml: '<disk/>\n' },
    ...{ sizeBytes: 20 * 2 ** 30, backing: 'swarm' },
    qemuCommand: ['qemu-system-x86_64', '-name', "it's", '-drive', 'file=/vms/web 1.qcow2'],
  };
  daemon = await fakeDaemon((_, to) => json(to, 200, vm), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  const args = ['vm', 'create', 'debian-12', '--name', 'web-1', '--size', '20G'];
  expect(await runCli(args, terminal)).toBe(0);
  expect(JSON.parse(daemon.requests[0].body)).toEqual({
    ...{ image: 'debian-12', name: 'web-1', sizeBytes: 20 * 2 ** 30 },
  });
  expect(terminal.out).toBe(
    'overlay  /vms/web-1.qcow2\n\nrun it with QEMU, as the user that the agent runs as:\n' +
      "  qemu-system-x86_64 -name 'it'\\''s' -drive 'file=/vms/web 1.qcow2'\n\n" +
      'or put this disk into a libvirt domain:\n<disk/>\n',
  );
});

test('moves VMs as it is told', async () => {
  const vm = { ...STATUS.vms[0], backing: 'local' };
  daemon = await fakeDaemon((_, to) => json(to, 200, vm), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  for (const args of [['pivot'], ['rebase'], ['rebase', '--to', 'swarm'], ['flatten']]) {
    expect(await runCli(['vm', ...args, 'a b'], terminal)).toBe(0);
  }
  const asked = daemon.requests.map(({ method, url, body }) => `${method} ${url} ${body}`);
  expect(asked).toEqual([
    'POST /v1/vms/a%20b/pivot {}',
    'POST /v1/vms/a%20b/rebase {"to":"local"}',
    'POST /v1/vms/a%20b/rebase {"to":"swarm"}',
    'POST /v1/vms/a%20b/flatten {}',
  ]);
  expect(terminal.out).toContain('web-1 reads the image from the local file\n');
  expect(await runCli(['vm', 'rebase', 'x', '--to', 'tape'], terminal)).toBe(2);
});

test('says how a VM is moved to another node, with what it is made of there', async () => {
  const vm = {
    ...{ name: 'web-1', image: IMAGE.id, sizeBytes: 2 ** 31, backing: 'none' },
    qmp: '/vms/web-1.qmp',
  };
  daemon = await fakeDaemon((_, to) => json(to, 200, vm), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  const args = ['vm', 'migrate-args', 'web-1', '--to', 'fd00::2', '--memory-port', '5555'];
  expect(await runCli([...args, '--json'], terminal)).toBe(0);
  const plan = JSON.parse(terminal.out);
  expect(plan.create).toEqual([
    ...['bootswarm', 'vm', 'create', IMAGE.id, '--name', 'web-1', '--size', String(2 ** 31)],
  ]);
  expect(plan.sourceQmp).toBe('/vms/web-1.qmp');
  const commands = plan.steps.map((step: { command: { execute: string } }) => step.command);
  const of = (execute: string) =>
    commands.find((each: typeof commands) => each.execute === execute);
  expect(of('migrate').arguments).toEqual({ uri: 'tcp:[fd00::2]:5555' });
  expect(of('blockdev-add').arguments.server).toMatchObject({ host: 'fd00::2', port: '10809' });
  expect(of('blockdev-mirror').arguments.sync).toBe('full');
  expect(await runCli([...args, '--disk-port', '0'], terminal)).toBe(2);
  expect(await runCli(['vm', 'migrate', 'web-1', '--to', 'x'], terminal)).toBe(2);
});

test('removes a running VM only when forced', async () => {
  daemon = await fakeDaemon((_, to) => to.writeHead(204).end(), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  expect(await runCli(['vm', 'rm', 'a b'], terminal)).toBe(0);
  expect(await runCli(['vm', 'rm', 'a b', '--force'], terminal)).toBe(0);
  const urls = daemon.requests.map(({ method, url }) => `${method} ${url}`);
  expect(urls).toEqual(['DELETE /v1/vms/a%20b', 'DELETE /v1/vms/a%20b?force=1']);
});

const READ = { cache: 1024, peers: 2048, origin: 4096, zero: 0 };
const STATUS: AgentStatus = {
  supervision: { by: 'socket-holder', holderPid: 5, successorPid: 9 },
  alarms: [
    {
      ...{ code: 'read-waiting', node: 'n1', subject: 'debian-12' },
      ...{ reason: '2 reads wait', hint: 'Look.', since: '2026-01-02T03:04:05.000Z' },
    },
  ],
  ...{ version: '1.0.0', node: 'n1', zone: 'z', rack: 'r', pid: 7, uptimeSeconds: 93_784 },
  tracker: { url: 'http://t:7420', isConnected: false },
  ...{ peerAddress: '10.0.0.1:7422', cacheDir: '/c', nbdSocket: '/n', rssBytes: 2 ** 27 },
  cache: {
    ...{ bytesUsed: 3 * 2 ** 30, bytesMax: 4 * 2 ** 30, isFull: true },
    scrubBytesPerSecond: 4 * 2 ** 20,
  },
  nbd: {
    ...{ address: '10.0.0.1:10809', connections: 3 },
    ...{ replyBytes: 2 ** 20, replyBytesMax: 2 ** 26 },
  },
  images: [
    {
      ...{ ...IMAGE, piecesHad: 16_424, piecesTouched: 12, bytesTouched: 12 * 65_536, peers: 2 },
      ...{ bytesFromPeers: 1, bytesFromOrigin: 2, bytesSent: 3, bytesWasted: 0, hedges: 0 },
      originRequests: { 'tree-root': 5, 'holder-late': 1 },
      layer: {
        from: 'swarm',
        ...{ bytesFromPeers: 1, bytesFromOrigin: 0, bytesSent: 0, originRequests: {} },
      },
      ...{ bytesPerSecondIn: 2 ** 20, bytesPerSecondOut: 0, read: READ, isAttached: true },
      ...{ readsWaiting: 2, oldestReadWaitMs: 1500 },
      ...{ diskBytes: 2 ** 21, lastUsedAt: '2026-01-02T03:04:05.000Z' },
      scrub: { passes: 1, piecesChecked: 17, pieceCount: 40, piecesDamaged: 2, isDirect: true },
    },
  ],
  vms: [
    {
      ...{ name: 'web-1', image: IMAGE.id, imageName: 'debian-12', overlay: '/o' },
      ...{ createdAt: '', backing: 'swarm', isMoving: false, connections: 1, read: READ },
    },
  ],
};

test('shows where bytes came from, per image and per VM', async () => {
  daemon = await fakeDaemon((_, to) => json(to, 200, STATUS), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  expect(await runCli(['status'], terminal)).toBe(0);
  expect(terminal.out).toContain('http://t:7420 (not connected; running swarms carry on)');
  expect(terminal.out).toContain(
    '3 clients, 1 MiB of 64 MiB held for replies, also at 10.0.0.1:10809\n',
  );
  expect(terminal.out).toMatch(
    /\ndebian-12 +40\/16384 +2 MiB +12 +1 KiB +2 KiB +4 KiB +0 B +1 MiB\/s .* 2 \(1\.5 s\)\n/,
  );
  expect(terminal.out).toContain(
    '\ncache    /c (3 GiB of 4 GiB; full: what is fetched now stays in memory only)\n',
  );
  expect(terminal.out).toContain(
    '\nscrub    1 pass and 17 pieces (4 MiB/s at most); 2 pieces were damaged, and fetched again\n',
  );
  expect(terminal.out).toContain('\nkept by  socket holder 5; successor 9 waits\n');
  expect(terminal.out).toContain(', up 1 d 2 h, 128 MiB of memory\n');
  expect(terminal.out).not.toMatch(/^(fuse|nova|glance) /m);
  expect(terminal.out).toContain(
    'ALARM    read-waiting of debian-12: 2 reads wait (since 2026-01-02T03:04:05.000Z)\n         → Look.\n',
  );
  expect(terminal.out).toMatch(/\nweb-1 +debian-12 +1 +1 KiB +2 KiB +4 KiB +0 B\n$/);
});

test('shows the files, the base images of Nova and the proxy of an agent that has them', async () => {
  const link = { image: IMAGE.id, glanceId: 'g', path: '/i/_base/x' };
  const states = ['swarm', 'swarm', 'file', 'foreign', 'none'] as const;
  const fuse = {
    ...{ directory: '/f', isMounted: true, openFiles: 1, readsWaiting: 2, replyBytes: 0 },
    nova: { links: states.map((state) => ({ ...link, state })), refusal: null as string | null },
  };
  const proxy = { address: '127.0.0.1:9292', filesServed: 3, filesPassed: 1, bytesServed: 2 ** 30 };
  const status = { ...STATUS, fuse, glanceProxy: proxy };
  daemon = await fakeDaemon((_, to) => json(to, 200, status), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  expect(await runCli(['status'], terminal)).toBe(0);
  expect(terminal.out).toContain('\nfuse     /f, 1 file open, 2 reads wait\n');
  expect(terminal.out).toContain(
    "\nnova     5 base images: 2 from the swarm, 1 a whole file of ours, 1 Nova's own, 1 not there yet\n",
  );
  expect(terminal.out).toContain(
    '\nglance   127.0.0.1:9292, 3 files (1 GiB) from the swarm, 1 from Glance\n',
  );
  fuse.isMounted = false;
  fuse.nova.refusal = 'Nova copies them';
  expect(await runCli(['status'], terminal)).toBe(0);
  expect(terminal.out).toContain('\nfuse     /f IS NOT MOUNTED ANY MORE: start the agent anew\n');
  expect(terminal.out).toContain('\nnova     KEEPS NO LINKS: Nova copies them\n');
});

test('says what to do where a list is empty', async () => {
  daemon = await fakeDaemon((_, to) => json(to, 200, { images: [], nodes: [], prefetches: [] }));
  const { endpoint } = daemon;
  const url = endpoint.type === 'tcp' ? endpoint.url.origin : '';
  const terminal = capturedTerminal({ BOOTSWARM_TRACKER: url });
  for (const args of [['images'], ['nodes'], ['prefetch', 'list']]) {
    expect(await runCli(args, terminal)).toBe(0);
  }
  expect(terminal.out).toBe(
    'no images: bootswarm publish FILE --name NAME makes one\n' +
      'no nodes: bootswarm agent --tracker URL, on a compute node, adds one\n' +
      'no prefetch orders: bootswarm prefetch IMAGE --percent 20 gives one\n',
  );
});

test('has an image leave the cache of this node', async () => {
  daemon = await fakeDaemon((_, to) => to.writeHead(204).end(), join(dir, 'agent.sock'));
  const terminal = capturedTerminal();
  expect(await runCli(['images', 'evict', 'debian 12', '--run', dir], terminal)).toBe(0);
  expect(daemon.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'DELETE /v1/images/debian%2012',
  ]);
  expect(terminal.out).toBe('evicted debian 12\n');
});

test('prints all that the agent says with status --json, why the origin was asked included', async () => {
  daemon = await fakeDaemon((_, to) => json(to, 200, STATUS), join(dir, 'agent.sock'));
  const terminal = capturedTerminal({ BOOTSWARM_RUN: dir });
  expect(await runCli(['status', '--json'], terminal)).toBe(0);
  const printed = JSON.parse(terminal.out);
  expect(printed).toEqual(STATUS);
  expect(printed.images[0].originRequests).toEqual({ 'tree-root': 5, 'holder-late': 1 });
});
