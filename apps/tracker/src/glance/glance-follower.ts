/**
 * Keeps the catalogue in step with Glance: looks at it again and again, has images imported that are wanted and not there, and
 * withdraws what Glance has deleted or deactivated. Decides what and when; importing and withdrawing are done by others. While
 * Glance does not answer nothing changes, and it is asked less often.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { GlanceClient, GlanceImage } from '@bootswarm/openstack';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { GlanceFollowStatus, GlanceSource, ImageSummary } from '../api.ts';
import { glanceSource, whyUnusable } from './glance-originals.ts';
import { Imports } from './imports.ts';

/** Images to publish: those with the property `bootswarm=publish`, all that are active, those of these ids, or none. */
export type GlanceSelection = 'marked' | 'active' | 'none' | readonly string[];

export interface GlanceFollowerOptions {
  readonly client: GlanceClient;
  readonly selection: GlanceSelection;
  readonly pollMs: number;
  readonly log: Logger;
  readonly catalogue: FollowedCatalogue;
}

/** What the follower sees of the catalogue and does to it. */
export interface FollowedCatalogue {
  list(): ImageSummary[];
  ofGlance(glanceId: string): ImageSummary | undefined;
  import(glanceId: string, signal: AbortSignal): Promise<void>;
  describe(image: ImageSummary, glance: GlanceSource): Promise<void>;
  withdraw(image: ImageSummary): Promise<void>;
}

const MARK = 'publish';
/** Glance that is down for an hour is found again within five minutes. */
const POLL_MS_MAX = 5 * 60_000;
/** Looks in a row that do not find an image before it counts as deleted: rights may be changed by mistake. */
const MISSED_MAX = 2;

export class GlanceFollower {
  readonly #options: GlanceFollowerOptions;
  readonly #imports: Imports;
  readonly #closing = new AbortController();
  readonly #missed = new Map<string, number>();
  #running: Promise<void> = Promise.resolve();
  #failures = 0;
  #error: OperatorError | undefined;
  #lookedAt: Date | undefined;

  constructor(options: GlanceFollowerOptions) {
    this.#options = options;
    const { catalogue, pollMs, log } = options;
    this.#imports = new Imports({
      import: (id, signal) => catalogue.import(id, signal),
      retryMs: pollMs,
      log,
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#imports.close();
    await this.#running;
  }

  status(): GlanceFollowStatus {
    const { selection } = this.#options;
    const error = this.#error;
    const isAsked = this.#lookedAt !== undefined || error !== undefined;
    return {
      selection: typeof selection === 'string' ? selection : 'listed',
      state: error !== undefined ? 'failing' : isAsked ? 'following' : 'starting',
      failures: this.#failures,
      ...(this.#lookedAt && { lookedAt: this.#lookedAt.toISOString() }),
      ...(error && { error: { code: error.code, message: error.message, hint: error.hint } }),
      images: this.#imports.status((id) => this.#options.catalogue.ofGlance(id)?.id),
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#lookOnce();
      const waitMs = this.#options.pollMs * 2 ** Math.min(this.#failures, 20);
      const boundMs = Math.max(POLL_MS_MAX, this.#options.pollMs);
      await delay(Math.min(waitMs, boundMs), undefined, { signal }).catch(() => {});
    }
  }

  async #lookOnce(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#look();
      if (this.#error !== undefined) log.info('Glance answers again');
      this.#error = undefined;
      this.#failures = 0;
      this.#lookedAt = new Date();
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#failures += 1;
      if (this.#error === undefined) log.warn({ error: messageOf(error) }, 'Glance not followed');
      this.#error = error instanceof OperatorError ? error : internal(error);
    }
  }

  async #look(): Promise<void> {
    const { catalogue } = this.#options;
    const wanted = await this.#wanted();
    for (const image of catalogue.list()) {
      if (image.glance !== undefined) await this.#compare(image, image.glance, wanted);
    }
    const missing = [...wanted.values()].filter(({ id }) => catalogue.ofGlance(id) === undefined);
    this.#imports.want(missing.map((image) => ({ image, why: whyUnusable(image) })));
    this.#imports.keepOnly(new Set(wanted.keys()));
  }

  async #wanted(): Promise<Map<string, GlanceImage>> {
    const { client, selection } = this.#options;
    const { signal } = this.#closing;
    let images: GlanceImage[] = [];
    if (selection === 'marked') {
      images = await client.list({ status: 'active', mark: MARK }, signal);
    } else if (selection === 'active') {
      images = await client.list({ status: 'active' }, signal);
    } else if (selection !== 'none') {
      for (const id of selection) {
        const image = await client.image(id, signal);
        if (image?.status === 'active') images.push(image);
      }
    }
    return new Map(images.map((image) => [image.id, image]));
  }

  /** One image of ours with what Glance says of it. */
  async #compare(
    image: ImageSummary,
    known: GlanceSource,
    wanted: ReadonlyMap<string, GlanceImage>,
  ): Promise<void> {
    const { catalogue, client, log } = this.#options;
    const now = wanted.get(known.id) ?? (await client.image(known.id, this.#closing.signal));
    const why = this.#whyWithdraw(known, now);
    if (why !== undefined) {
      log.info({ image: image.id, glance: known.id, why }, 'withdrawing');
      this.#missed.delete(known.id);
      await catalogue.withdraw(image);
      return;
    }
    if (now === undefined) return;
    const told = glanceSource(now, known.isFollowed);
    if (JSON.stringify(told) !== JSON.stringify(known)) await catalogue.describe(image, told);
  }

  #whyWithdraw(known: GlanceSource, now: GlanceImage | undefined): string | undefined {
    if (now === undefined) {
      const missed = (this.#missed.get(known.id) ?? 0) + 1;
      this.#missed.set(known.id, missed);
      return missed >= MISSED_MAX ? 'Glance has it no longer' : undefined;
    }
    this.#missed.delete(known.id);
    if (now.status !== 'active') return `it is ${now.status}`;
    if (now.osHashValue !== known.osHashValue) return 'it has other bytes';
    return known.isFollowed && this.#isUnwanted(now) ? 'it is not to be published' : undefined;
  }

  /** An active image that the list has left out for a moment is not. */
  #isUnwanted({ id, mark }: GlanceImage): boolean {
    const { selection } = this.#options;
    if (selection === 'marked') return mark !== MARK;
    return typeof selection !== 'string' && !selection.includes(id);
  }
}

function internal(error: unknown): OperatorError {
  const hint = "Read the tracker's log.";
  return new OperatorError('internal', `Following Glance failed: ${messageOf(error)}`, hint);
}
