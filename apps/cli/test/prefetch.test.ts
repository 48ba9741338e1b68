import type { NodeSummary, PrefetchSummary } from '@bootswarm/tracker';
import { afterEach, expect, test } from 'vitest';
import { runCli } from '../src/cli.ts';
import { capturedTerminal } from './captured-terminal.ts';
import { type FakeDaemon, fakeDaemon, json } from './fake-daemon.ts';

const CONNECTED: NodeSummary = {
  ...{ node: 'n1', zone: 'z1', rack: 'r1', address: '10.0.0.9:1', images: [] },
  connectedSince: '2026-01-02T03:04:05.000Z',
};
const SUMMARY: PrefetchSummary = {
  ...{ id: '5f2c9a0b1d3e4f60', image: 'a'.repeat(40), imageName: 'debian-12', state: 'active' },
  ...{ isLate: false, bootOrderOnly: false, priority: 5, pin: false, nodes: [] },
  createdAt: '2026-01-02T03:04:05.000Z',
};

let daemon: FakeDaemon | undefined;
afterEach(() => daemon?.close());

/** An order for `nodes`, at a tracker to which n1 is connected. */
async function order(nodes: readonly string[], ...args: string[]) {
  const waiting = { state: 'waiting', piecesHad: 0, piecesWanted: 0, code: '' } as const;
  const summary = { ...SUMMARY, nodes: nodes.map((node) => ({ node, ...waiting })) };
  daemon = await fakeDaemon(({ url }, to) =>
    url === '/v1/nodes' ? json(to, 200, { nodes: [CONNECTED] }) : json(to, 201, summary),
  );
  const { endpoint } = daemon;
  const url = endpoint.type === 'tcp' ? endpoint.url.origin : '';
  const terminal = capturedTerminal({ BOOTSWARM_TRACKER: url, BOOTSWARM_TOKEN: 't' });
  expect(await runCli(['prefetch', 'debian-12', ...args], terminal)).toBe(0);
  return { out: terminal.out, err: terminal.err };
}

test('says on how many nodes an order is', async () => {
  expect(await order(['n1'], '--zone', 'z1')).toEqual({
    out: 'order 5f2c9a0b1d3e4f60: debian-12 on 1 node\n',
    err: '',
  });
});

test('says which of the nodes that were named is not connected, as it may be misspelt', async () => {
  const { out, err } = await order(['n1', 'n11', 'n12'], '--nodes', 'n1,n11,n12');
  expect(out).toContain('on 3 nodes\n');
  expect(err).toBe(
    'bootswarm: not connected: n11, n12\n' +
      '  → bootswarm nodes lists who is; they begin when they are there\n',
  );
});

test('says that no node is meant', async () => {
  const { out, err } = await order([], '--zone', 'z9');
  expect(out).toContain('on 0 nodes\n');
  expect(err).toBe(
    'bootswarm: no connected node is meant by it\n' +
      '  → bootswarm nodes lists nodes and their zones; those that come are taken in\n',
  );
});
