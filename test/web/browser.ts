/** Debian's Chromium, driven with playwright-core, and pages in it that note whatever an operator should not meet. */
import { type Browser, chromium, type Page } from 'playwright-core';

export const WIDE = { width: 1280, height: 900 };
export const NARROW = { width: 390, height: 844 };

export type Size = typeof WIDE;

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    // As root, as CI is, it does not start with its sandbox; what it loads here is our own.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

export interface OpenedPage {
  readonly page: Page;
  /** Errors and warnings of its console, and what was thrown. */
  readonly complaints: string[];
  /** URLs that it asked for elsewhere than at its own server. */
  readonly strayRequests: string[];
}

/** Throws when there is no such page, as where it was not built: nothing that a test waits for would come. */
export async function openPage(
  browser: Browser,
  url: string,
  size: Size,
  colorScheme: 'light' | 'dark' = 'light',
): Promise<OpenedPage> {
  const context = await browser.newContext({
    ...{ viewport: size, colorScheme, timezoneId: 'UTC', locale: 'en-GB' },
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  const strayRequests: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin)) strayRequests.push(request.url());
  });
  const response = await page.goto(url);
  if (!response?.ok()) {
    const title = await page.title();
    await context.close();
    throw new Error(`${url} answered ${response?.status()}, ${title}: build it with npm run page`);
  }
  return { page, complaints, strayRequests };
}

/** By how many pixels the page is wider than what is shown of it. */
export function overhang(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - window.innerWidth');
}
