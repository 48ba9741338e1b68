/**
 * Who may do and know what at the HTTP API: the administrator, whose token this is, everything; who sends a token of Keystone,
 * the images that Glance shows its holder; everybody else, those that Glance keeps from nobody.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';
import type { ImageSummary } from './api.ts';
import { type Catalogue, type FoundImage, onlyOne } from './catalogue.ts';
import type { Visibility } from './glance/visibility.ts';
import { ListedImages } from './listed-images.ts';

export class Access {
  readonly #tokenDigest: Buffer;
  readonly #catalogue: Catalogue;
  readonly #visibility: Visibility;

  constructor(adminToken: string, catalogue: Catalogue, visibility: Visibility) {
    this.#tokenDigest = digestOf(adminToken);
    this.#catalogue = catalogue;
    this.#visibility = visibility;
  }

  /** Throws OperatorError `token-missing` or `token-wrong`. */
  authorize(request: IncomingMessage): void {
    const hint = `Send "Authorization: Bearer TOKEN" with the token in admin.token of the data directory.`;
    if (bearerOf(request) === undefined)
      throw new OperatorError('token-missing', 'This needs the admin token', hint);
    if (!this.isAdmin(request)) {
      throw new OperatorError('token-wrong', 'This is not the admin token', hint);
    }
  }

  isAdmin(request: IncomingMessage): boolean {
    const token = bearerOf(request);
    // Digests, because timingSafeEqual() wants equal lengths and must not tell ours.
    return token !== undefined && timingSafeEqual(digestOf(token), this.#tokenDigest);
  }

  /** The images that the caller may know of. Throws OperatorError of GlanceClient when Glance does not answer. */
  images(request: IncomingMessage): Promise<ImageSummary[]> | ImageSummary[] {
    const all = this.#catalogue.list();
    return this.isAdmin(request) ? all : this.#visibility.shownTo(keystoneTokenOf(request), all);
  }

  /**
   * Finds what catalogue.find() finds, among the images that the caller may know of. Of an image that is not for everybody the
   * whole id is as good as a right: it is all that the swarm asks for. By its name or a part of its id it is there for those
   * only whom Glance shows it.
   */
  async find(request: IncomingMessage, key: string): Promise<FoundImage> {
    const shown: FoundImage[] = [];
    for (const found of this.#catalogue.matching(key)) {
      const { image } = found;
      if (image.id === key || (await this.mayKnow(request, image))) shown.push(found);
    }
    return onlyOne(key, shown, () =>
      this.#catalogue.list().filter(({ id }) => this.listed(request).has(id)),
    );
  }

  async mayKnow(request: IncomingMessage, image: ImageSummary): Promise<boolean> {
    return this.isAdmin(request) || this.#visibility.isShownTo(keystoneTokenOf(request), image);
  }

  /** What lists may have that are about more than images, which Glance is not asked for. */
  listed(request: IncomingMessage): ListedImages {
    return new ListedImages(this.#catalogue, this.isAdmin(request));
  }
}

function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i.exec(headers.authorization ?? '')?.[1];
}

/** Of the caller's project: what he would send to Glance himself. */
function keystoneTokenOf({ headers }: IncomingMessage): string | undefined {
  const token = headers['x-auth-token'];
  return typeof token === 'string' && /^[\x21-\x7e]+$/.test(token) ? token : undefined;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
