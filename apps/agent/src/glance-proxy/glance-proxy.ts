/**
 * The API of Glance on a compute node. The bytes of an image come from the swarm when Glance has said, to the caller's own token,
 * that he may have it; whatever else is asked goes to Glance and comes back as it is. Decides which of the two; is no cache of
 * descriptions, and knows nobody's password.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  GlanceClient,
  type GlanceImage,
  isGlanceImageId,
  NoAuthSession,
} from '@bootswarm/openstack';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { GlanceProxyStatus } from '../api.ts';
import type { ImageCopy } from '../image-copy.ts';
import { byteRange, sendCopy } from './image-file.ts';
import { PassThrough } from './pass-through.ts';

export interface GlanceProxyOptions {
  readonly host: string;
  /** 0 takes a free one, which `status` tells. */
  readonly port: number;
  /** Of Glance, without the /v2. */
  readonly glanceUrl: URL;
  readonly log: Logger;
  /** The image that is published under this Glance id, as the holder of the token may have it; undefined: there is none. */
  readonly open: (glanceId: string, token: string | undefined) => Promise<ImageCopy | undefined>;
  /** For a first byte of the swarm, before Glance is asked for all of them; default: 10 s. */
  readonly firstByteMs?: number;
}

/** Of all callers: Nova fetches few images at once, and each transfer holds a few MiB. */
const CONNECTIONS_MAX = 256;
const FIRST_BYTE_MS = 10_000;
/** Without a byte in either direction; an upload may wait for its store. */
const IDLE_MS = 300_000;
/** A Keystone token in a header of its own, and a service's token beside it. */
const HEADER_BYTES_MAX = 64 * 1024;

/** Disk formats whose bytes are the disk's. */
const STORED_AS_THEY_ARE: ReadonlySet<string> = new Set(['raw', 'iso']);

export class GlanceProxy {
  readonly #options: GlanceProxyOptions;
  readonly #client: GlanceClient;
  readonly #onward: PassThrough;
  readonly #server: Server;
  #filesServed = 0;
  #filesPassed = 0;
  #bytesServed = 0;

  private constructor(options: GlanceProxyOptions) {
    this.#options = options;
    this.#client = new GlanceClient(new NoAuthSession(options.glanceUrl));
    this.#onward = new PassThrough(options.glanceUrl, IDLE_MS);
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        options.log.error({ error: messageOf(error) }, 'Glance proxy');
        response.destroy();
      });
    });
    // An upload takes as long as it takes.
    this.#server.requestTimeout = 0;
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.setTimeout(IDLE_MS);
  }

  /** Throws OperatorError `listen`. */
  static async listen(options: GlanceProxyOptions): Promise<GlanceProxy> {
    const proxy = new GlanceProxy(options);
    const { host, port } = options;
    try {
      proxy.#server.listen({ host, port });
      await once(proxy.#server, 'listening');
    } catch (error) {
      throw new OperatorError(
        'listen',
        `Cannot listen on ${host}:${port} for the Glance proxy: ${messageOf(error)}`,
        'Give --glance-proxy an address of this host and a port that is free.',
        { cause: error },
      );
    }
    return proxy;
  }

  status(): GlanceProxyStatus {
    const { address, family, port } = this.#server.address() as AddressInfo;
    return {
      address: family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`,
      filesServed: this.#filesServed,
      filesPassed: this.#filesPassed,
      bytesServed: this.#bytesServed,
    };
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
    this.#onward.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const glanceId = request.method === 'GET' ? fileAskedFor(request.url ?? '') : undefined;
    if (glanceId === undefined) return this.#onward.serve(request, response);
    if (await this.#serveFile(glanceId, request, response)) return;
    this.#filesPassed += 1;
    this.#onward.serve(request, response);
  }

  /** False, with nothing answered, when it is for Glance to answer. */
  async #serveFile(
    glanceId: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<boolean> {
    const { log, firstByteMs = FIRST_BYTE_MS } = this.#options;
    let copy: ImageCopy | undefined;
    try {
      const image = await this.#client.imageFor(identityOf(request), glanceId);
      if (image?.status !== 'active') return false;
      copy = await this.#copyOf(image, request);
      if (copy === undefined) return false;
      const range = byteRange(request.headers.range, copy.length);
      // What is wrong with it, Glance says best.
      if (range === 'wrong') return false;
      const sent = await sendCopy(response, copy, {
        range,
        firstByteMs,
        contentMd5: range === undefined ? image.checksum : undefined,
        onBytes: (bytes) => {
          this.#bytesServed += bytes;
        },
      });
      if (sent) this.#filesServed += 1;
      else log.warn({ glance: glanceId }, 'no byte from the swarm: Glance is asked instead');
      return sent;
    } catch (error) {
      if (response.headersSent) throw error;
      log.warn({ glance: glanceId, error: messageOf(error) }, 'Glance is asked for the image');
      return false;
    } finally {
      copy?.close();
    }
  }

  /** Its bytes if they are those that Glance stores: a qcow2 file is not its flat disk, and has another hash. */
  async #copyOf(image: GlanceImage, request: IncomingMessage): Promise<ImageCopy | undefined> {
    if (!STORED_AS_THEY_ARE.has(image.diskFormat) || image.containerFormat !== 'bare')
      return undefined;
    const token = request.headers['x-auth-token'];
    const copy = await this.#options.open(image.id, typeof token === 'string' ? token : undefined);
    if (copy === undefined || copy.length === image.size) return copy;
    copy.close();
    return undefined;
  }
}

/** As whom Glance is asked. Nova sends a service's token beside its user's. */
function identityOf({ headers }: IncomingMessage): Record<string, string> {
  const identity: Record<string, string> = {};
  for (const name of ['x-auth-token', 'x-service-token']) {
    const value = headers[name];
    if (typeof value === 'string') identity[name] = value;
  }
  return identity;
}

/** The id in /v2/images/ID/file. */
function fileAskedFor(url: string): string | undefined {
  const id = /^\/v2\/images\/([^/?]{36})\/file$/.exec(url)?.[1];
  return isGlanceImageId(id) ? id : undefined;
}
