/**
 * Asks the tracker's catalogue over HTTP: which image a name means, its signed metainfo, and at need its piece layer. What
 * comes back is bounded, and nothing of it is believed before its signature and hashes are checked.
 */
import {
  type Metainfo,
  makePieceLayer,
  openSignedMetainfo,
  type PieceLayer,
  type SignedMetainfo,
} from '@bootswarm/metainfo';
import { type Credentials, KeystoneSession } from '@bootswarm/openstack';
import { messageOf, OperatorError, readBounded } from '@bootswarm/stdx';

/** Signed metainfo is some 400 bytes, and a piece layer of up to 16 KiB or the hashes of one that is longer. */
export const METAINFO_BYTES_MAX = 64 * 1024;
const SUMMARY_BYTES_MAX = 256 * 1024;
/** Some 500 bytes for each image. */
const LIST_BYTES_MAX = 16 * 1024 * 1024;
const TIMEOUT_MS = 30_000;
const LIST_THEM = 'List what there is with: bootswarm images';

export interface FetchedMetainfo {
  readonly bytes: Uint8Array;
  readonly signed: SignedMetainfo;
}

/** As whom the tracker may ask Glance whether an image is for us: headers with a token of Keystone. */
export type CatalogueIdentity = () => Promise<Readonly<Record<string, string>>>;

/** As the project of an application credential. */
export function catalogueIdentity(
  credentials: Credentials | undefined,
): CatalogueIdentity | undefined {
  if (credentials === undefined) return undefined;
  const session = new KeystoneSession(credentials);
  return () => session.headers();
}

export class CatalogueClient {
  readonly #url: string;
  readonly #identity: CatalogueIdentity | undefined;

  /** `url` is the tracker's, e.g. http://controller:7420. `identity`: this node's own; default: nobody. */
  constructor(url: string, identity?: CatalogueIdentity) {
    this.#url = url.replace(/\/+$/, '');
    this.#identity = identity;
  }

  /**
   * The id of an image given by id, unique prefix or name. One that is not for everybody is found with the `token` of whom it is
   * for, or our own; neither is shown unless there is need. Throws OperatorError, see #get().
   */
  async resolve(image: string, token?: string): Promise<string> {
    const path = `/v1/images/${encodeURIComponent(image)}`;
    const { id } = fieldsOf(await this.#getAs(path, image, token));
    if (typeof id === 'string' && /^[0-9a-f]{40}$/.test(id)) return id;
    throw this.#nonsense(path, 'it has no image id');
  }

  /** The ids of all images that we may know of, the newest last. */
  async list(): Promise<string[]> {
    const path = '/v1/images';
    const headers = await this.#identity?.();
    const { images } = fieldsOf(await this.#get(path, LIST_BYTES_MAX, 'at all', headers));
    if (!Array.isArray(images)) throw this.#nonsense(path, 'it has no images');
    return images.map((image: unknown) => {
      const { id } = Object(image) as Record<string, unknown>;
      if (typeof id === 'string' && /^[0-9a-f]{40}$/.test(id)) return id;
      throw this.#nonsense(path, 'an image has no image id');
    });
  }

  /** The metainfo of an image id, its signature checked; with `pinnedKeyHex` signed by that key. */
  async fetchMetainfo(imageId: string, pinnedKeyHex: string | undefined): Promise<FetchedMetainfo> {
    const path = `/v1/images/${imageId}/metainfo`;
    const bytes = await this.#get(path, METAINFO_BYTES_MAX, imageId);
    const signed = this.#checked(path, () => openSignedMetainfo(bytes, pinnedKeyHex));
    if (signed.metainfo.imageId === imageId) return { bytes, signed };
    throw this.#nonsense(path, `it sent the metainfo of ${signed.metainfo.imageId}`);
  }

  /** The piece layer of an image, checked: for when its swarm does not give it. */
  async fetchLayer(metainfo: Metainfo): Promise<PieceLayer> {
    const { imageId, pieceCount } = metainfo;
    const path = `/v1/images/${imageId}/piece-layer`;
    const bytes = await this.#get(path, pieceCount * 32, imageId);
    return this.#checked(path, () => makePieceLayer(metainfo, bytes));
  }

  async #getAs(path: string, image: string, token: string | undefined): Promise<Uint8Array> {
    try {
      return await this.#get(path, SUMMARY_BYTES_MAX, image);
    } catch (error) {
      if (!(error instanceof OperatorError) || error.code !== 'image-not-found') throw error;
      const headers = token === undefined ? await this.#identity?.() : { 'x-auth-token': token };
      if (headers === undefined) throw error;
      return await this.#get(path, SUMMARY_BYTES_MAX, image, headers);
    }
  }

  /** Throws OperatorError `image-not-found`, `image-ambiguous`, `tracker-unreachable` or `tracker-answer`. */
  async #get(
    path: string,
    bytesMax: number,
    image: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Uint8Array> {
    const { status, body } = await this.#request(path, bytesMax, headers);
    if (status === 404) {
      const { code, hint } = body === undefined ? {} : fieldsOf(body);
      throw new OperatorError(
        'image-not-found',
        `The tracker at ${this.#url} has no image ${image}`,
        code === 'image-not-found' && typeof hint === 'string' ? hint : LIST_THEM,
      );
    }
    if (status === 409) {
      const { detail, hint } = fieldsOf(body ?? new Uint8Array());
      throw new OperatorError(
        'image-ambiguous',
        typeof detail === 'string' ? detail : `${image} may be more than one image`,
        typeof hint === 'string' ? hint : 'Give the image id.',
      );
    }
    if (status !== 200) throw this.#nonsense(path, `HTTP status ${status}`);
    if (body === undefined) throw this.#nonsense(path, `more than ${bytesMax} bytes`);
    return body;
  }

  /** The body is undefined when it is longer than `bytesMax`. */
  async #request(
    path: string,
    bytesMax: number,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; body: Uint8Array | undefined }> {
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const { status, body } = await fetch(this.#url + path, {
        ...{ signal, headers },
        redirect: 'error',
      });
      return { status, body: await readBounded(body, bytesMax) };
    } catch (error) {
      throw new OperatorError(
        'tracker-unreachable',
        `The tracker at ${this.#url} does not answer: ${reasonOf(error)}`,
        'Check that it runs (curl URL/healthz) and that the agent was given the right --tracker URL.',
        { cause: error },
      );
    }
  }

  #checked<T>(path: string, check: () => T): T {
    try {
      return check();
    } catch (error) {
      throw this.#nonsense(path, messageOf(error));
    }
  }

  #nonsense(path: string, what: string): OperatorError {
    return new OperatorError(
      'tracker-answer',
      `The tracker's answer to ${this.#url}${path} cannot be used: ${what}`,
      'If the tracker was set up anew with another publisher key, remove publisher.pub from the cache directory.',
    );
  }
}

/** Of a JSON object; none when it is anything else. */
function fieldsOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(Buffer.from(body).toString())) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** fetch() hides what went wrong in `cause`. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause === undefined ? messageOf(error) : messageOf(cause);
}
