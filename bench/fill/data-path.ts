/**
 * What moving pieces costs: an origin and nodes, each a process of its own with real sockets and files, and what CPU each of
 * them uses per piece. Nothing but the data path: no tracker, no guests.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PieceHasher } from '@bootswarm/metainfo';
import type { NodeOrder, NodeReport, NodeSpec, NodeUsage } from './data-path-node.ts';

const NODE = fileURLToPath(new URL('./data-path-node.ts', import.meta.url));
const MIB = 1024 * 1024;
const HOST = '127.0.0.1';

/** Of one process between two moments, per piece. */
export interface PieceCost {
  readonly userMs: number;
  readonly systemMs: number;
}

export interface Flow {
  readonly megabytesPerSecond: number;
  /** Share of the wall time in which the receiving process used no CPU. */
  readonly idle: number;
  /** CPU of a receiver per piece received; what it sent meanwhile is in it. */
  readonly receive: PieceCost;
  /** CPU of the origin per piece it sent. */
  readonly send: PieceCost;
  /** Pieces a receiver sent, per piece received. */
  readonly relayed: number;
  readonly rssMaxBytes: number;
}

export interface DataPathRun {
  /** One node fills from an origin that verifies each piece as it reads it for the first time. */
  readonly first: Flow;
  /** One node fills from an origin that has verified every piece before. */
  readonly again: Flow;
  /** Two nodes fill at once, and send each other what they take from the origin. */
  readonly relay: Flow;
}

export interface DataPathImage {
  readonly path: string;
  readonly length: number;
  readonly pieceLength: number;
  readonly piecesRoot: string;
  readonly layerPath: string;
}

/** Hashes a file in pieces of `pieceLength`; the piece layer goes to a file beside it. */
export function hashImage(path: string, length: number, pieceLength: number): DataPathImage {
  const hasher = new PieceHasher({ length, pieceLength });
  const bytes = Buffer.alloc(MIB);
  const file = openSync(path, 'r');
  for (let at = 0; at < length; at += MIB) {
    hasher.push(bytes.subarray(0, readSync(file, bytes, 0, MIB, at)));
  }
  closeSync(file);
  const { piecesRoot, pieceLayer } = hasher.finish();
  const layerPath = `${path}.${pieceLength}.layer`;
  writeFileSync(layerPath, pieceLayer);
  return {
    path,
    length,
    pieceLength,
    piecesRoot: Buffer.from(piecesRoot).toString('hex'),
    layerPath,
  };
}

export async function runDataPath(image: DataPathImage, directory: string): Promise<DataPathRun> {
  const origin = await Process.start(image, 'origin', image.path, directory);
  try {
    const first = await fill(image, directory, origin, ['a']);
    const again = await fill(image, directory, origin, ['b']);
    const relay = await fill(image, directory, origin, ['c', 'd']);
    return { first, again, relay };
  } finally {
    await origin.end();
  }
}

async function fill(
  image: DataPathImage,
  directory: string,
  origin: Process,
  names: readonly string[],
): Promise<Flow> {
  const nodes = await Promise.all(
    names.map((name) => Process.start(image, name, undefined, directory)),
  );
  try {
    const members = nodes.map(({ node, port }, place) => ({
      ...{ node, zone: '', rack: '', place, host: HOST, port },
    }));
    for (const node of nodes) node.fill(members, origin.port);
    const warm = await Promise.all(nodes.map((node) => node.next('warm')));
    const originWarm = await origin.measure();
    const start = performance.now();
    const filled = await Promise.all(nodes.map((node) => node.next('filled')));
    const wallMs = performance.now() - start;
    const sent = since(originWarm, await origin.measure());
    const received = filled.map((usage, index) => since(warm[index], usage));
    const receive = costPer(received, (usage) => usage.piecesHad);
    const pieces = received.reduce((sum, usage) => sum + usage.piecesHad, 0);
    const cpuMs = (receive.userMs + receive.systemMs) * pieces;
    return {
      megabytesPerSecond: (pieces * image.pieceLength) / nodes.length / 1e3 / wallMs,
      idle: 1 - cpuMs / (wallMs * nodes.length),
      receive,
      send: costPer([sent], (usage) => usage.piecesSent),
      relayed: received.reduce((sum, usage) => sum + usage.piecesSent, 0) / pieces,
      rssMaxBytes: Math.max(...filled.map((usage) => usage.rssMaxBytes)),
    };
  } finally {
    await Promise.all(nodes.map((node) => node.end()));
    for (const name of names) rmSync(join(directory, name), { recursive: true });
  }
}

function since(before: NodeUsage, after: NodeUsage): NodeUsage {
  return {
    userMs: after.userMs - before.userMs,
    systemMs: after.systemMs - before.systemMs,
    piecesHad: after.piecesHad - before.piecesHad,
    piecesSent: after.piecesSent - before.piecesSent,
    rssMaxBytes: after.rssMaxBytes,
  };
}

function costPer(usages: readonly NodeUsage[], piecesOf: (usage: NodeUsage) => number): PieceCost {
  const sum = (of: (usage: NodeUsage) => number) =>
    usages.reduce((total, usage) => total + of(usage), 0);
  const pieces = sum(piecesOf);
  return {
    userMs: sum((usage) => usage.userMs) / pieces,
    systemMs: sum((usage) => usage.systemMs) / pieces,
  };
}

class Process {
  readonly node: string;
  readonly #child: ChildProcess;
  port = 0;

  private constructor(node: string) {
    this.node = node;
    this.#child = fork(NODE, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  }

  static async start(
    image: DataPathImage,
    node: string,
    original: string | undefined,
    directory: string,
  ): Promise<Process> {
    const started = new Process(node);
    const { length, pieceLength, piecesRoot, layerPath } = image;
    const spec: NodeSpec = {
      ...{ node, length, pieceLength, piecesRoot, layerPath, original },
      directory: join(directory, node),
    };
    started.port = (await started.#ask({ type: 'open', spec }, 'opened')).port;
    return started;
  }

  /** `warm` and `filled` come. */
  fill(members: Extract<NodeOrder, { type: 'fill' }>['members'], originPort: number): void {
    this.#tell({ type: 'fill', members, origin: { host: HOST, port: originPort } });
  }

  measure(): Promise<NodeUsage> {
    return this.#ask({ type: 'measure' }, 'measured');
  }

  async end(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.disconnect();
    await gone;
  }

  /** The next report, which is of this type. */
  async next<Type extends NodeReport['type']>(
    type: Type,
  ): Promise<Extract<NodeReport, { type: Type }>> {
    const [report] = (await once(this.#child, 'message')) as [NodeReport];
    if (report.type !== type) throw new Error(`${this.node}: ${report.type} instead of ${type}`);
    return report as Extract<NodeReport, { type: Type }>;
  }

  async #ask<Type extends NodeReport['type']>(
    order: NodeOrder,
    type: Type,
  ): Promise<Extract<NodeReport, { type: Type }>> {
    this.#tell(order);
    return this.next(type);
  }

  #tell(order: NodeOrder): void {
    this.#child.send(order);
  }
}
