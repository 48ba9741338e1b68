/**
 * Makes docs/screenshots anew: every view of the page as built, wide and narrow, light and dark, in front of a made-up storm of
 * 500 nodes. `npm run screenshots`; look at each before it is committed.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { NARROW, openBrowser, openPage, type Size, WIDE } from './browser.ts';
import { emptyOverview } from './empty-overview.ts';
import { servePage } from './page-server.ts';
import { prefetchOrders } from './prefetch-orders.ts';
import { StormScript } from './storm-script.ts';

interface Shot {
  readonly name: string;
  readonly hash: string;
  readonly size: Size;
  readonly scheme?: 'dark';
  readonly isEmpty?: boolean;
  readonly isLost?: boolean;
  /** Is clicked first. */
  readonly click?: string;
}

const START_MS = Date.parse('2026-03-02T10:15:00Z');
/** The storm is past its height. */
const SECONDS = 112;
const directory = join(import.meta.dirname, '..', '..', 'docs', 'screenshots');

const SHOTS: readonly Shot[] = [
  { name: 'storm', hash: '#/storm', size: WIDE },
  { name: 'storm-dark', hash: '#/storm', size: WIDE, scheme: 'dark' },
  { name: 'storm-narrow', hash: '#/storm', size: NARROW },
  { name: 'storm-lost', hash: '#/storm', size: NARROW, scheme: 'dark', isLost: true },
  { name: 'storm-none', hash: '#/storm', size: NARROW, isEmpty: true },
  { name: 'images', hash: '#/images', size: WIDE },
  { name: 'images-narrow', hash: '#/images', size: NARROW },
  { name: 'images-none', hash: '#/images', size: WIDE, isEmpty: true },
  { name: 'nodes', hash: '#/nodes', size: WIDE },
  { name: 'nodes-dark', hash: '#/nodes', size: WIDE, scheme: 'dark' },
  { name: 'nodes-narrow', hash: '#/nodes', size: NARROW },
  { name: 'prefetch', hash: '#/prefetch', size: WIDE, click: 'summary' },
  { name: 'prefetch-narrow', hash: '#/prefetch', size: NARROW },
  { name: 'alarms', hash: '#/alarms', size: WIDE },
  { name: 'alarms-narrow', hash: '#/alarms', size: NARROW, scheme: 'dark' },
];

mkdirSync(directory, { recursive: true });
const script = new StormScript({ nodes: 500, zones: 8, seed: 7, startMs: START_MS });
for (let second = 0; second < SECONDS; second += 1) script.advance();
const browser = await openBrowser();
try {
  for (const shot of SHOTS) await take(shot);
} finally {
  await browser.close();
}

async function take({ name, hash, size, scheme, isEmpty, isLost, click }: Shot): Promise<void> {
  const server = await servePage(
    () => (isEmpty ? emptyOverview(START_MS) : script.overview()),
    () => prefetchOrders(START_MS),
  );
  const { page } = await openPage(browser, `${server.url}/${hash}`, size, scheme);
  await page.getByText('Live', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Prefetch' }).waitFor();
  if (click !== undefined) await page.locator(click).first().click();
  if (isLost) {
    await server.close();
    await page.getByText('No tracker', { exact: true }).waitFor();
  }
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))');
  await page.screenshot({ path: join(directory, `${name}.png`), animations: 'disabled' });
  await page.context().close();
  if (!isLost) await server.close();
}
