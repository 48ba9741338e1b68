import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBrowser, openPage, WIDE } from './browser.ts';
import { emptyOverview } from './empty-overview.ts';
import { servePage } from './page-server.ts';

let browser: Browser;

beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser.close());

test('a page that was not built is told at once, with what to do, and leaves nothing open', async () => {
  const server = await servePage(() => emptyOverview(0), undefined, '/nowhere');
  await expect(openPage(browser, server.url, WIDE)).rejects.toThrow(
    /answered 503, .*not built: build it with npm run page/,
  );
  expect(browser.contexts()).toEqual([]);
  await server.close();
});
