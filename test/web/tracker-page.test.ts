/** The page of a real tracker: what happens in the cloud is on it at once, and it outlives the tracker. */
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import { CMD, request } from '../../packages/nbd-proto/test/wire.ts';
import { Cluster } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { openBrowser, openPage, WIDE } from './browser.ts';

const LENGTH = 64 * 1024 * 1024;
const PIECE = 65_536;

let browser: Browser;
let cluster: Cluster;

beforeAll(async () => {
  [browser, cluster] = await Promise.all([openBrowser(), Cluster.start(2)]);
});
afterAll(async () => {
  await browser?.close();
  await cluster?.stop();
});

test('an image, a boot and the end of the tracker are seen without loading the page again', async () => {
  const { page, complaints, strayRequests } = await openPage(browser, cluster.url, WIDE);
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByRole('banner').getByText('2 nodes').waitFor();

  await page.getByRole('link', { name: 'Images' }).click();
  await page.getByText(`--tracker ${cluster.url}`).waitFor();
  const source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  const image = await cluster.publish(source, 'seen-live');
  await page.getByRole('heading', { name: 'seen-live' }).waitFor();
  await page.getByText('no node is in its swarm').waitFor();

  const [agent] = cluster.agents;
  await agent.attach(image);
  const guest = await RawClient.open(join(agent.runDir, 'nbd.sock'), image);
  for (let pieceIndex = 0; pieceIndex < 64; pieceIndex += 1) {
    guest.send(request(CMD.read, pieceIndex * PIECE, 4_096));
    await guest.receive(16 + 4_096);
  }
  await page.getByText('1 node, 0 with all of it').waitFor();
  await page.getByRole('link', { name: 'Storm' }).click();
  await page.locator('.reads li').first().getByText('node1').waitFor();
  await page.getByText(/^Last boot storm$|^Boot storm$/).waitFor();
  await page.getByRole('link', { name: 'Nodes' }).click();
  const row = page.locator('table.nodes tbody tr').first();
  await row.getByText('node1').waitFor();
  guest.socket.destroy();
  expect(complaints).toEqual([]);
  expect(strayRequests).toEqual([]);

  await cluster.tracker.kill('SIGKILL');
  await page.getByRole('status').getByText('No tracker').waitFor();
  await page.getByRole('alert').getByText('The tracker does not answer').waitFor();
  expect(await row.textContent()).toContain('node1');
  await cluster.restartTracker();
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByRole('banner').getByText('2 nodes').waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  // What the browser itself says of a connection that fails.
  expect(complaints.filter((text) => !/net::ERR_|EventSource/.test(text))).toEqual([]);
});
