/** Real nodes on one machine that share one small image: hosts, wires, stores and all, in a directory of their own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createInfo,
  type Metainfo,
  makePieceLayer,
  PieceHasher,
  type PieceLayer,
} from '@bootswarm/metainfo';
import {
  CachePieceStore,
  type CacheStoreOptions,
  OriginalPieceStore,
  type PieceStore,
} from '@bootswarm/piece-store';
import { Random } from '@bootswarm/stdx';
import {
  ImageReader,
  noReadBytes,
  type SwarmDriver,
  type SwarmEvent,
  SwarmHost,
} from '@bootswarm/swarm-driver';
import type { SwarmMember } from '@bootswarm/swarm-proto';

export const PIECE_LENGTH = 65_536;
/** 40 pieces, of which 10..19 are zero, and a short last one. */
export const LENGTH = 40 * PIECE_LENGTH - 1_000;

export interface TestNode {
  readonly driver: SwarmDriver;
  readonly reader: ImageReader;
  readonly member: SwarmMember;
  /** The node's cache, if it has one. */
  readonly directory: string;
  /** In the order in which they happened. */
  readonly events: SwarmEvent[];
  close(): Promise<void>;
}

export class TestSwarm {
  readonly directory = mkdtempSync(join(tmpdir(), 'swarm-host-'));
  readonly image: Buffer;
  readonly metainfo: Metainfo;
  readonly layer: PieceLayer;
  readonly #open = new Set<() => Promise<void>>();
  #nextPlace = 0;

  constructor(shape = { length: LENGTH, pieceLength: PIECE_LENGTH }) {
    this.image = testImage(shape.length);
    const hasher = new PieceHasher(shape);
    hasher.push(this.image);
    const { piecesRoot, pieceLayer } = hasher.finish();
    this.metainfo = createInfo({ name: 'test.raw', ...shape, piecesRoot });
    this.layer = makePieceLayer(this.metainfo, pieceLayer);
  }

  async startOrigin(
    bytesPerSecondMax = Infinity,
  ): Promise<{ host: string; port: number; driver: SwarmDriver }> {
    const path = join(this.directory, 'original.raw');
    writeFileSync(path, this.image);
    const { metainfo, layer } = this;
    const store = await OriginalPieceStore.open({ path, metainfo, layer, onEvent: () => {} });
    const { driver, member } = await this.startHost('origin', store, true, bytesPerSecondMax);
    return { host: member.host, port: member.port, driver };
  }

  /** A node with a cache: a new one, unless `cache.directory` is that of a node that was closed. */
  async startNode(node: string, cache: Partial<CacheStoreOptions> = {}): Promise<TestNode> {
    const directory = cache.directory ?? mkdtempSync(join(this.directory, `${node}-`));
    const { metainfo, layer } = this;
    let reader: ImageReader | undefined;
    const store = await CachePieceStore.open({
      ...{ metainfo, layer, ...cache, directory },
      onEvent: (event) => {
        if (event.type === 'piece-lost') reader?.pieceLost(event.pieceIndex);
      },
    });
    const started = await this.startHost(node, store);
    reader = started.reader;
    return { ...started, directory };
  }

  /** A node on any store, which is closed with it. */
  async startHost(
    node: string,
    store: PieceStore,
    isOrigin = false,
    bytesPerSecondMax = Infinity,
  ): Promise<TestNode> {
    const events: SwarmEvent[] = [];
    const host = new SwarmHost({
      listen: { host: '127.0.0.1', port: 0 },
      self: { kind: 'ours', node, zone: 'z', rack: 'r', isOrigin },
      foreignPeersAllowed: false,
      onEvent: (_, event) => events.push(event),
      onMistake: (error) => {
        throw error;
      },
    });
    host.limitUploads(bytesPerSecondMax);
    const { port } = await host.listen();
    const driver = host.open({ metainfo: this.metainfo, layer: this.layer, store });
    const close = async () => {
      if (!this.#open.delete(close)) return;
      await host.close();
      await store.close();
    };
    this.#open.add(close);
    const member = {
      node,
      zone: 'z',
      rack: 'r',
      host: '127.0.0.1',
      port,
      place: this.#nextPlace,
    };
    if (!isOrigin) this.#nextPlace += 1;
    return { driver, reader: new ImageReader(driver), member, directory: '', events, close };
  }

  async end(): Promise<void> {
    for (const close of this.#open) await close();
    rmSync(this.directory, { recursive: true });
  }
}

/** Reads as a guest of this node; resolves when all bytes are there. */
export function read(
  reader: ImageReader,
  offset: number,
  length: number,
  counted = noReadBytes(),
): Promise<Buffer> {
  const target = Buffer.alloc(length);
  const guest = reader.guest(counted);
  return new Promise((resolve) => guest.read(offset, target, () => resolve(target)));
}

function testImage(length: number): Buffer {
  const random = new Random(1);
  const image = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) {
    const isHole = at >= 10 * PIECE_LENGTH && at < 20 * PIECE_LENGTH;
    if (!isHole) image.writeUInt32LE(random.uint32(), at);
  }
  return image;
}
