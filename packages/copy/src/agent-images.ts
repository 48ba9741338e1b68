/**
 * Images of the swarm as this host's agent has them, asked over its control socket: the agent joins and fills, the copy reads
 * the cache file. Its identity is proven here: the id is the hash of the info dictionary, which names the tree, which proves
 * the pieces.
 */
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Metainfo,
  makePieceLayer,
  PIECE_COUNT_MAX,
  type PieceLayer,
  parseInfo,
} from '@bootswarm/metainfo';
import { Bitfield, errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import type { SwarmImage, SwarmImages } from './swarm-source.ts';

/** Answer of POST /v1/images/IMAGE/fill of the agent. */
export interface ImageFill {
  readonly image: string;
  /** The info dictionary, base64. */
  readonly info: string;
  /** Absolute path of the cache file. */
  readonly path: string;
  /** Pieces held, as a bitfield, base64. */
  readonly held: string;
}

/** The agent fills for some seconds after it was asked last. */
const LOOK_MS = 200;
/** A bitfield of 2^20 pieces, and an info dictionary. */
const FILL_BYTES_MAX = 1024 * 1024;
const LAYER_BYTES_MAX = 32 * PIECE_COUNT_MAX;
/** The tracker may be slow to give the metainfo, or the swarm the layer. */
const SILENCE_MS_MAX = 60_000;

export class AgentImages implements SwarmImages {
  readonly #socketPath: string;

  /** Of RUN/agent.sock. */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async open(image: string, signal: AbortSignal): Promise<SwarmImage> {
    const fill = await this.#fill(image, signal);
    const metainfo = parseInfo(Buffer.from(fill.info, 'base64'));
    const path = `/v1/images/${metainfo.imageId}/piece-layer`;
    const layer = makePieceLayer(metainfo, await this.#ask('GET', path, LAYER_BYTES_MAX, signal));
    return new AgentImage(metainfo, layer, fill, (more) => this.#fill(metainfo.imageId, more));
  }

  async #fill(image: string, signal: AbortSignal): Promise<ImageFill> {
    const path = `/v1/images/${encodeURIComponent(image)}/fill`;
    const text = (await this.#ask('POST', path, FILL_BYTES_MAX, signal)).toString('utf8');
    try {
      const fill = JSON.parse(text) as Partial<ImageFill>;
      const texts = [fill.image, fill.info, fill.path, fill.held];
      if (texts.every((each) => typeof each === 'string')) return fill as ImageFill;
    } catch {
      // Told below.
    }
    throw this.#unexpected();
  }

  #ask(method: string, path: string, bytesMax: number, signal: AbortSignal): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const asked = request({
      ...{ socketPath: this.#socketPath, method, path, signal },
      agent: false,
      timeout: SILENCE_MS_MAX,
    });
    asked.on('timeout', () =>
      asked.destroy(new Error(`it said nothing for ${SILENCE_MS_MAX / 1_000} s`)),
    );
    asked.on('error', (error) => reject(signal.aborted ? signal.reason : this.#unreachable(error)));
    asked.on('response', (response) => {
      const parts: Buffer[] = [];
      let length = 0;
      response.on('data', (part: Buffer) => {
        length += part.length;
        parts.push(part);
        if (length > bytesMax) response.destroy(this.#unexpected());
      });
      response.on('error', (error) =>
        reject(error instanceof OperatorError ? error : this.#unreachable(error)),
      );
      response.on('end', () => {
        const body = Buffer.concat(parts);
        if (response.statusCode === 200) resolve(body);
        else reject(problemIn(body) ?? this.#unexpected());
      });
    });
    asked.end();
    return promise;
  }

  #unreachable(error: unknown): OperatorError {
    const isForbidden = ['EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
    return new OperatorError(
      'agent-unreachable',
      `cannot reach the agent at ${this.#socketPath}, which swarm: is read through: ${messageOf(error)}`,
      isForbidden
        ? 'Run this as the user the agent runs as, or as root.'
        : 'Start it with bootswarm agent, or say where it is with --run DIR or BOOTSWARM_RUN.',
      { cause: error },
    );
  }

  #unexpected(): OperatorError {
    return new OperatorError(
      'unexpected-answer',
      `the agent at ${this.#socketPath} answered what a copy does not understand`,
      'Check that the agent is of the same version.',
    );
  }
}

class AgentImage implements SwarmImage {
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  readonly path: string;
  readonly #fill: (signal: AbortSignal) => Promise<ImageFill>;
  #lookAt = 0;

  constructor(
    metainfo: Metainfo,
    layer: PieceLayer,
    { path }: ImageFill,
    fill: (signal: AbortSignal) => Promise<ImageFill>,
  ) {
    this.metainfo = metainfo;
    this.layer = layer;
    this.path = path;
    this.#fill = fill;
  }

  async held(signal: AbortSignal): Promise<Bitfield> {
    const waitMs = this.#lookAt - performance.now();
    if (waitMs > 0) await delay(waitMs, undefined, { signal });
    this.#lookAt = performance.now() + LOOK_MS;
    const { held } = await this.#fill(signal);
    const { pieceCount, imageId } = this.metainfo;
    const bitfield = Bitfield.fromBytes(pieceCount, Buffer.from(held, 'base64'));
    if (bitfield !== undefined) return bitfield;
    throw new OperatorError(
      'unexpected-answer',
      `the agent does not say which pieces of image ${imageId} it holds`,
      'Check that the agent is of the same version.',
    );
  }

  /** The agent stops by itself when it is not asked any more. */
  async close(): Promise<void> {}
}

function problemIn(body: Buffer): OperatorError | undefined {
  try {
    const { code, detail, hint } = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    if (typeof code !== 'string' || typeof detail !== 'string' || typeof hint !== 'string')
      return undefined;
    return new OperatorError(code, detail, hint);
  } catch {
    return undefined;
  }
}
