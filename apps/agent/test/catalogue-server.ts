/** A tracker's catalogue on a real socket: images signed as they should be, until a test says otherwise. */
import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  carryLayer,
  createInfo,
  generatePublisherKey,
  type LayerTorrent,
  type Metainfo,
  makePieceLayer,
  PieceHasher,
  type PieceLayer,
  publicKeyHex,
  signMetainfo,
} from '@bootswarm/metainfo';
import { Random } from '@bootswarm/stdx';

export const PIECE_LENGTH = 65_536;
const KEY = generatePublisherKey();
export const KEY_HEX = publicKeyHex(KEY);
export const OTHER_KEY = generatePublisherKey();

export interface SignedImage {
  readonly metainfo: Metainfo;
  readonly id: string;
  readonly layer: PieceLayer;
  /** Of the image itself. */
  readonly bytes: Buffer;
  readonly metainfoBytes: Uint8Array;
}

/** `pieces` pieces, of which those with an odd index are zero, and the last one is short. */
export function signedImage(
  name: string,
  { seed = 1, pieces = 5, key = KEY }: { seed?: number; pieces?: number; key?: KeyObject } = {},
): SignedImage {
  return imageOf(
    name,
    Array.from({ length: pieces }, (_, index) => index % 2 === 1),
    seed,
    key,
  );
}

/** One piece for each element; those that are true are zero. */
export function imageOf(
  name: string,
  zeros: readonly boolean[],
  seed = 1,
  key: KeyObject = KEY,
): SignedImage {
  const random = new Random(seed);
  const length = zeros.length * PIECE_LENGTH - 1_000;
  const bytes = Buffer.alloc(length);
  for (const [index, isZero] of zeros.entries()) {
    if (!isZero) bytes.writeUInt32LE(random.uint32(), index * PIECE_LENGTH);
  }
  const hasher = new PieceHasher({ length, pieceLength: PIECE_LENGTH });
  hasher.push(bytes);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const metainfo = createInfo({ name, length, pieceLength: PIECE_LENGTH, piecesRoot });
  const layer = makePieceLayer(metainfo, pieceLayer);
  const { carried } = carryLayer(metainfo, layer);
  const metainfoBytes = signMetainfo(metainfo, key, carried);
  return { metainfo, id: metainfo.imageId, layer, bytes, metainfoBytes };
}

/** The same image, signed with a swarm for its layer that carries these bytes instead. */
export function signedWith(
  { metainfo }: SignedImage,
  packed: Uint8Array,
): { metainfoBytes: Uint8Array; torrent: LayerTorrent } {
  const { length } = packed;
  const shape = { length, pieceLength: 16_384 };
  const hasher = new PieceHasher(shape);
  hasher.push(packed);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const carried = createInfo({ name: `${metainfo.imageId}.layer`, ...shape, piecesRoot });
  const torrent = { metainfo: carried, layer: makePieceLayer(carried, pieceLayer) };
  return { torrent, metainfoBytes: signMetainfo(metainfo, KEY, { type: 'swarm', ...torrent }) };
}

export type Answer = (response: ServerResponse) => void;

export const answer =
  (status: number, body: string | Uint8Array = ''): Answer =>
  (response) =>
    void response.writeHead(status).end(body);

export class CatalogueServer {
  /** By path; what is not here is not found. */
  readonly answers = new Map<string, Answer>();
  /** Paths, in the order in which they were asked for. */
  readonly asked: string[] = [];
  readonly #server: Server;
  #port = 0;

  static async start(...images: SignedImage[]): Promise<CatalogueServer> {
    const server = new CatalogueServer();
    for (const image of images) server.publish(image);
    await server.listen();
    return server;
  }

  private constructor() {
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.asked.push(path);
      (this.answers.get(path) ?? answer(404, '{}'))(response);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  publish({ id, metainfo, metainfoBytes, layer }: SignedImage): void {
    const summary = JSON.stringify({ id, name: metainfo.name });
    for (const key of [id, id.slice(0, 12), metainfo.name]) {
      this.answers.set(`/v1/images/${encodeURIComponent(key)}`, answer(200, summary));
    }
    this.answers.set(`/v1/images/${id}/metainfo`, answer(200, metainfoBytes));
    this.answers.set(`/v1/images/${id}/piece-layer`, answer(200, layer.bytes));
  }

  /** On the port it had before, if it ran before. */
  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
