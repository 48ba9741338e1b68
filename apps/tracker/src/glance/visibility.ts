/**
 * Who may know of an image that is not for everybody: whom Glance shows it. Its id is all that it takes to join its swarm, so
 * that is what must not be told. Glance is asked with the caller's own token; a yes is believed for a while.
 */
import { createHash } from 'node:crypto';
import type { GlanceClient } from '@bootswarm/openstack';
import type { GlanceSource, ImageSummary } from '../api.ts';

/** So that a storm of nodes that list images does not become a storm on Glance, and a revoked right ends soon. */
const BELIEVED_MS = 60_000;
/** Answers of 1,000 nodes about 20 images. */
const BELIEVED_MAX = 20_000;
/** Questions to Glance at a time, for one who lists all images. */
const ASKED_AT_ONCE = 8;

export function isRestricted(glance: GlanceSource | undefined): boolean {
  return glance?.visibility === 'private' || glance?.visibility === 'shared';
}

/** As agents are told of it that have not asked: not at all if it is not for everybody. */
export function asAnnounced(image: ImageSummary): ImageSummary {
  return isRestricted(image.glance) ? { ...image, prejoin: 'none' } : image;
}

export class Visibility {
  readonly #client: GlanceClient | undefined;
  /** Until when, in performance.now(), by digest of token and image. Oldest first. */
  readonly #believed = new Map<string, number>();

  /** Without a client nobody is shown what is restricted. */
  constructor(client: GlanceClient | undefined) {
    this.#client = client;
  }

  /** Throws OperatorError of GlanceClient when Glance does not answer. */
  async isShownTo(token: string | undefined, { glance }: ImageSummary): Promise<boolean> {
    if (glance === undefined || !isRestricted(glance)) return true;
    if (this.#client === undefined || token === undefined) return false;
    const key = createHash('sha256').update(`${glance.id} ${token}`).digest('base64');
    if ((this.#believed.get(key) ?? 0) > performance.now()) return true;
    this.#believed.delete(key);
    const shown = await this.#client.imageFor({ 'x-auth-token': token }, glance.id);
    if (shown?.status !== 'active') return false;
    this.#believed.set(key, performance.now() + BELIEVED_MS);
    if (this.#believed.size > BELIEVED_MAX) {
      const [oldest] = this.#believed.keys();
      this.#believed.delete(oldest);
    }
    return true;
  }

  /** Those of `images` that the holder of the token may know of, in the same order. Throws as isShownTo() does. */
  async shownTo(
    token: string | undefined,
    images: readonly ImageSummary[],
  ): Promise<ImageSummary[]> {
    const shown = new Set<ImageSummary>();
    const rest = images.values();
    const work = async () => {
      for (const image of rest) if (await this.isShownTo(token, image)) shown.add(image);
    };
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, work));
    return images.filter((image) => shown.has(image));
  }

  /** Glance says otherwise of it now: what was believed may be wrong. */
  forget(): void {
    this.#believed.clear();
  }
}
