/** A tracker on a directory of its own with the fake origin, and how the tests talk to it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PublishEvent } from '../src/api.ts';
import { type RunningTracker, runTracker, type TrackerOptions } from '../src/run-tracker.ts';

export const FAKE_ORIGIN = fileURLToPath(new URL('./fake-origin.ts', import.meta.url));

export class TrackerFixture {
  /** Holds DATA, the tracker's data directory, and whatever a test puts beside it. */
  readonly path = mkdtempSync(join(tmpdir(), 'tracker-'));
  readonly dataDir = join(this.path, 'data');
  tracker!: RunningTracker;

  /** `page`: where the web page was built to, as far as this tracker knows; `glance`: where images come from. */
  async start({
    page = this.path,
    glance,
  }: {
    readonly page?: string;
    readonly glance?: TrackerOptions['glance'];
  } = {}): Promise<this> {
    this.tracker = await runTracker({
      dataDir: this.dataDir,
      listen: { host: '127.0.0.1', port: 0 },
      originListen: { host: '127.0.0.1', port: 0 },
      logLevel: 'silent',
      originMain: FAKE_ORIGIN,
      pageDir: page,
      ...(glance && { glance }),
    });
    return this;
  }

  async end(): Promise<void> {
    await this.tracker?.close();
    rmSync(this.path, { recursive: true, force: true });
  }

  /** An image file of 16 KiB blocks: one filled with each byte given. */
  image(name: string, blocks: readonly number[]): string {
    const path = join(this.path, name);
    writeFileSync(path, Buffer.concat(blocks.map((byte) => Buffer.alloc(16_384, byte))));
    return path;
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.tracker.url + path, init);
  }

  async json<T = Record<string, unknown>>(path: string): Promise<T> {
    return (await this.fetch(path)).json() as Promise<T>;
  }

  post(body: unknown, init: RequestInit = {}): Promise<Response> {
    return this.fetch('/v1/images', {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.tracker.adminToken}`,
        'content-type': 'application/json',
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
    });
  }

  withdraw(image: string): Promise<Response> {
    const authorization = `Bearer ${this.tracker.adminToken}`;
    return this.fetch(`/v1/images/${image}`, { method: 'DELETE', headers: { authorization } });
  }

  /** Publishes and returns the last event. */
  async publish(request: object): Promise<PublishEvent> {
    return (await this.publishEvents(request)).at(-1) as PublishEvent;
  }

  async publishEvents(request: object): Promise<PublishEvent[]> {
    const text = await (await this.post(request)).text();
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PublishEvent);
  }

  /** Publishes what must be publishable and returns its id. */
  async published(request: object): Promise<string> {
    const event = await this.publish(request);
    if (event.type !== 'published') throw new Error(JSON.stringify(event));
    return event.image.id;
  }
}
