/**
 * What we ask of Glance v2: one image, many, whether the holder of a token may have one, and where its bytes are. What comes
 * back is bounded and checked; the bytes themselves are read by others.
 */
import { OperatorError } from '@bootswarm/stdx';
import { type GlanceImage, isGlanceImageId, parseGlanceImage } from './glance-image.ts';
import { type JsonAnswer, requestJson, unusable } from './json-request.ts';

/** As whom we speak. */
export interface GlanceSession {
  /** Of Glance, without the /v2. */
  endpoint(): Promise<URL>;
  headers(): Promise<Readonly<Record<string, string>>>;
  /** A request with these headers was answered with 401: whether new ones may help. */
  refused(headers: Readonly<Record<string, string>>): boolean;
}

export interface GlanceFilter {
  readonly status?: 'active';
  /** Value of the property `bootswarm`. */
  readonly mark?: string;
}

/** A description has some 2 KiB; properties may add to it, up to 128 of them. */
const IMAGE_BYTES_MAX = 256 * 1024;
const PAGE_LENGTH = 100;
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
/** 100,000 images: a list without an end is not read to its end. */
const PAGES_MAX = 1_000;

export class GlanceClient {
  readonly #session: GlanceSession;

  constructor(session: GlanceSession) {
    this.#session = session;
  }

  /**
   * undefined: there is none, or not for us. Throws OperatorError `openstack-unreachable`, `openstack-answer`,
   * `openstack-refused` or `openstack-catalog`; when aborted, the signal's reason.
   */
  async image(id: string, signal?: AbortSignal): Promise<GlanceImage | undefined> {
    const { url, answer } = await this.#get(`/v2/images/${id}`, IMAGE_BYTES_MAX, signal);
    return this.#imageOf(id, url, answer);
  }

  /** What Glance shows of the image to whoever sends these headers; undefined: nothing. Throws as image() does. */
  async imageFor(
    headers: Readonly<Record<string, string>>,
    id: string,
  ): Promise<GlanceImage | undefined> {
    const url = urlOf(await this.#session.endpoint(), `/v2/images/${id}`);
    const answer = await requestJson(url, {
      service: 'Glance',
      headers,
      bytesMax: IMAGE_BYTES_MAX,
    });
    if (answer.status === 401 || answer.status === 403) return undefined;
    return this.#imageOf(id, url, answer);
  }

  /** All that pass the filter and that we may see, community images of others included. Throws as image() does. */
  async list(filter: GlanceFilter, signal?: AbortSignal): Promise<GlanceImage[]> {
    const images = new Map<string, GlanceImage>();
    const query = new URLSearchParams({ visibility: 'all', limit: String(PAGE_LENGTH) });
    query.set('sort', 'created_at:desc,id:desc');
    if (filter.status !== undefined) query.set('status', filter.status);
    if (filter.mark !== undefined) query.set('bootswarm', filter.mark);
    for (let pages = 0; pages < PAGES_MAX; pages += 1) {
      const { url, answer } = await this.#get(`/v2/images?${query}`, PAGE_BYTES_MAX, signal);
      const { images: page, next } = answer.body;
      if (answer.status !== 200 || !Array.isArray(page) || page.length > PAGE_LENGTH) {
        throw unusable('Glance', url, `no list of images (HTTP ${answer.status})`);
      }
      const before = images.size;
      for (const each of page) {
        const image = parseGlanceImage(each);
        if (image !== undefined) images.set(image.id, image);
      }
      // Our own marker, not the URL in `next`: that leads wherever the answer says.
      const marker = (Object(page.at(-1)) as { id?: unknown }).id;
      const isLast = next === undefined || next === null || !isGlanceImageId(marker);
      if (isLast || images.size === before) return [...images.values()];
      query.set('marker', marker);
    }
    return [...images.values()];
  }

  /** Where the bytes of an image are, and what to send along when asking for them now. Throws as image() does. */
  async file(id: string): Promise<{ url: URL; headers: Readonly<Record<string, string>> }> {
    const url = urlOf(await this.#session.endpoint(), `/v2/images/${id}/file`);
    return { url, headers: await this.#session.headers() };
  }

  #imageOf(id: string, url: URL, answer: JsonAnswer): GlanceImage | undefined {
    if (answer.status === 404) return undefined;
    const image = answer.status === 200 ? parseGlanceImage(answer.body) : undefined;
    if (image?.id === id) return image;
    throw unusable('Glance', url, `it does not describe this image (HTTP ${answer.status})`);
  }

  /** A token that was revoked early is replaced once. */
  async #get(
    path: string,
    bytesMax: number,
    signal?: AbortSignal,
  ): Promise<{ url: URL; answer: JsonAnswer }> {
    for (let attempt = 1; ; attempt += 1) {
      const url = urlOf(await this.#session.endpoint(), path);
      const headers = await this.#session.headers();
      const answer = await requestJson(url, { service: 'Glance', headers, bytesMax, signal });
      if (answer.status !== 401 && answer.status !== 403) return { url, answer };
      const mayHelp = answer.status === 401 && this.#session.refused(headers);
      if (attempt > 1 || !mayHelp) throw refused(url, answer.status);
    }
  }
}

function urlOf(endpoint: URL, path: string): URL {
  return new URL(endpoint.href.replace(/\/$/, '') + path);
}

function refused(url: URL, status: number): OperatorError {
  return new OperatorError(
    'openstack-refused',
    `Glance at ${url.origin} refuses us: HTTP ${status}`,
    'Check the credentials: the project needs the role reader or member, and admin for what others own.',
  );
}
