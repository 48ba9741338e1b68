/**
 * One node of the data path's benchmark: a process with a store and a swarm, told by its parent what to do. Says what CPU it has
 * used, user and system apart, and how far it is.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { createInfo, makePieceLayer } from '@bootswarm/metainfo';
import { CachePieceStore, OriginalPieceStore, type PieceStore } from '@bootswarm/piece-store';
import { type SwarmDriver, SwarmHost } from '@bootswarm/swarm-driver';
import type { SwarmMember } from '@bootswarm/swarm-proto';

/** What a node is told when it starts. */
export interface NodeSpec {
  readonly node: string;
  readonly length: number;
  readonly pieceLength: number;
  /** Hex. */
  readonly piecesRoot: string;
  readonly layerPath: string;
  /** The original of an origin; undefined: a node that fills its cache. */
  readonly original: string | undefined;
  /** Of the cache of a node that fills. */
  readonly directory: string;
}

export type NodeOrder =
  | { readonly type: 'open'; readonly spec: NodeSpec }
  | {
      readonly type: 'fill';
      readonly members: readonly SwarmMember[];
      readonly origin: { readonly host: string; readonly port: number };
    }
  | { readonly type: 'measure' };

export type NodeReport =
  | { readonly type: 'opened'; readonly port: number }
  | ({ readonly type: 'warm' } & NodeUsage)
  | ({ readonly type: 'filled' } & NodeUsage)
  | ({ readonly type: 'measured' } & NodeUsage);

export interface NodeUsage {
  readonly userMs: number;
  readonly systemMs: number;
  readonly piecesHad: number;
  readonly piecesSent: number;
  readonly rssMaxBytes: number;
}

/** Rare enough to cost nothing, often enough for a run of seconds. */
const LOOK_MS = 5;

class BenchNode {
  readonly #driver: SwarmDriver;
  readonly #store: PieceStore;

  private constructor(driver: SwarmDriver, store: PieceStore) {
    this.#driver = driver;
    this.#store = store;
  }

  static async open(spec: NodeSpec): Promise<{ node: BenchNode; port: number }> {
    const { length, pieceLength, original, directory } = spec;
    const piecesRoot = Buffer.from(spec.piecesRoot, 'hex');
    const metainfo = createInfo({ name: 'bench.raw', length, pieceLength, piecesRoot });
    const layer = makePieceLayer(metainfo, readFileSync(spec.layerPath));
    const onEvent = (event: unknown) => console.error(event);
    if (original === undefined) mkdirSync(directory);
    const store =
      original === undefined
        ? await CachePieceStore.open({ directory, metainfo, layer, onEvent })
        : await OriginalPieceStore.open({ path: original, metainfo, layer, onEvent });
    const isOrigin = original !== undefined;
    const host = new SwarmHost({
      listen: { host: '127.0.0.1', port: 0 },
      self: { kind: 'ours', node: spec.node, zone: '', rack: '', isOrigin },
      foreignPeersAllowed: false,
      onEvent: () => {},
      onMistake: (error) => {
        throw error;
      },
    });
    const { port } = await host.listen();
    return { node: new BenchNode(host.open({ metainfo, layer, store }), store), port };
  }

  /** `warm` is called when an eighth is there, by when what is run often is compiled. */
  fill(order: Extract<NodeOrder, { type: 'fill' }>, warm: () => void, done: () => void): void {
    const { have, pieceCount } = this.#store;
    this.#driver.setMembers(order.members, [order.origin]);
    this.#driver.handle({ type: 'fill', enabled: true });
    let isWarm = false;
    const look = setInterval(() => {
      if (!isWarm && have.count > pieceCount / 8) {
        isWarm = true;
        warm();
      }
      if (!have.isFull) return;
      clearInterval(look);
      done();
    }, LOOK_MS);
  }

  usage(): NodeUsage {
    const { user, system } = process.cpuUsage();
    return {
      userMs: user / 1_000,
      systemMs: system / 1_000,
      piecesHad: this.#store.have.count,
      piecesSent: this.#driver.snapshot().stats.piecesSent,
      rssMaxBytes: process.resourceUsage().maxRSS * 1_024,
    };
  }
}

let node: BenchNode | undefined;

function report(message: NodeReport): void {
  process.send!(message);
}

process.on('message', async (order: NodeOrder) => {
  if (order.type === 'open') {
    const opened = await BenchNode.open(order.spec);
    node = opened.node;
    report({ type: 'opened', port: opened.port });
  } else if (order.type === 'fill') {
    node!.fill(
      order,
      () => report({ type: 'warm', ...node!.usage() }),
      () => report({ type: 'filled', ...node!.usage() }),
    );
  } else {
    report({ type: 'measured', ...node!.usage() });
  }
});
process.on('disconnect', () => process.exit(0));
