/**
 * Carries out what the tracker orders to be prefetched: the highest priority first, an image filled or only what its boot
 * orders name, and says how far each order is. Which node gets which order is the tracker's decision; how pieces come is the
 * swarm's.
 */
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { AgentMessage, NodePrefetch, PrefetchTask } from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import type { ImageLibrary } from './image-library.ts';
import type { ImageSession } from './image-session.ts';
import { type KeptTask, readTasks, writeTasks } from './prefetch-tasks.ts';

export type PrefetchSaid = Extract<AgentMessage, { type: 'prefetch-state' | 'boot-held' }>;

export interface PrefetchRunnerOptions {
  /** The cache directory. */
  readonly directory: string;
  readonly sessions: () => Iterable<ImageSession>;
  readonly get: (image: string) => ImageSession | undefined;
  readonly ensure: (image: string) => Promise<ImageSession>;
  /** The tracker is to be told; nothing happens while it is away. */
  readonly onState: (order: string, state: NodePrefetch) => void;
  readonly onBootHeld: (image: string, pieces: number, piecesHad: number) => void;
  readonly onFailed: (what: string, error: unknown) => void;
}

/** A session fills for so long without being asked again; a tick comes every second. */
const ORDERED_MS = 5_000;
/** What cannot be opened is tried again, not at every tick. */
const RETRY_MS = 30_000;
/** Pieces of a boot order asked for in one tick: 32 MiB of 64 KiB pieces. */
const ASKED_PER_TICK = 512;

export class PrefetchRunner {
  readonly #options: PrefetchRunnerOptions;
  #tasks: readonly KeptTask[];
  /** By order: what the tracker was told last. */
  readonly #told = new Map<string, string>();
  /** By image that is open: what the tracker was told last. */
  readonly #bootHeldTold = new Map<string, string>();
  readonly #opening = new Set<string>();
  /** By image: why it could not be opened, and when. */
  readonly #failures = new Map<string, { readonly code: string; readonly at: number }>();

  constructor(options: PrefetchRunnerOptions) {
    this.#options = options;
    this.#tasks = readTasks(options.directory);
  }

  /** Nothing evicts it while an order says so. */
  isPinned(image: string): boolean {
    const now = Date.now();
    return this.#tasks.some(
      (task) => task.image === image && task.isPinned && isLasting(task, now),
    );
  }

  /** All there is to do from now on. */
  replace(tasks: readonly PrefetchTask[]): void {
    const now = Date.now();
    this.#tasks = tasks.map((task) => ({
      ...task,
      ...(task.expiresInMs > 0 && { expiresAtMs: now + task.expiresInMs }),
    }));
    for (const order of this.#told.keys()) {
      if (!tasks.some(({ id }) => id === order)) this.#told.delete(order);
    }
    for (const image of this.#failures.keys()) {
      if (!tasks.some((task) => task.image === image)) this.#failures.delete(image);
    }
    this.#keep();
    this.tick();
  }

  /** The tracker is there again: it is told everything, and says what is over. */
  connected(): void {
    this.#told.clear();
    this.#bootHeldTold.clear();
    this.tick();
  }

  /** About once a second. */
  tick(): void {
    const now = Date.now();
    const lasting = this.#tasks.filter((task) => isLasting(task, now));
    if (lasting.length < this.#tasks.length) {
      this.#tasks = lasting;
      this.#keep();
    }
    let priorityNow = -1;
    for (const task of lasting.toSorted((a, b) => b.priority - a.priority)) {
      const isTurn = task.priority >= priorityNow;
      const state = this.#advance(task, isTurn);
      // What has failed holds up nobody.
      if (state.state === 'fetching') priorityNow = task.priority;
      this.#tell(task.id, state);
    }
    this.#tellBootHeld();
  }

  #advance(task: KeptTask, isTurn: boolean): NodePrefetch {
    const session = this.#options.get(task.image);
    if (session === undefined) return this.#open(task.image, isTurn);
    this.#failures.delete(task.image);
    const wanted = task.bootOrderOnly ? session.reader.boots.orderedPieces() : undefined;
    // Zeros are there without being fetched: of an image that is mostly holes, an order would look nearly done before it begins.
    const { zeroCount } = session.pieceLayer;
    const piecesWanted = wanted?.length ?? session.metainfo.pieceCount - zeroCount;
    const piecesHad =
      wanted === undefined ? session.piecesHad - zeroCount : countHad(session, wanted);
    const state = (name: NodePrefetch['state'], code = ''): NodePrefetch => ({
      state: name,
      piecesHad,
      piecesWanted,
      code,
    });
    // A boot order that nobody has taught yet may come.
    if (piecesWanted === 0 && wanted !== undefined) return state('waiting');
    if (piecesHad === piecesWanted) return state('done');
    if (!session.canKeep) return state('failed', 'cache-full');
    if (!isTurn) return state('waiting');
    if (wanted === undefined) session.order(ORDERED_MS);
    else askFor(session, wanted);
    return state('fetching');
  }

  #open(image: string, isTurn: boolean): NodePrefetch {
    const failure = this.#failures.get(image);
    const isTooSoon = failure !== undefined && performance.now() - failure.at < RETRY_MS;
    if (isTurn && !isTooSoon && !this.#opening.has(image)) {
      this.#opening.add(image);
      this.#options
        .ensure(image)
        .catch((error: unknown) => {
          const code = error instanceof OperatorError ? error.code : 'agent-failed';
          this.#failures.set(image, { code, at: performance.now() });
          this.#options.onFailed(image, error);
        })
        .finally(() => this.#opening.delete(image));
    }
    const isFailed = failure !== undefined;
    const name = isFailed ? 'failed' : isTurn ? 'fetching' : 'waiting';
    return { state: name, piecesHad: 0, piecesWanted: 0, code: failure?.code ?? '' };
  }

  #tell(order: string, state: NodePrefetch): void {
    const text = JSON.stringify(state);
    if (this.#told.get(order) === text) return;
    this.#told.set(order, text);
    this.#options.onState(order, state);
  }

  #tellBootHeld(): void {
    // The tracker forgets with the swarm what was told of an image.
    for (const image of this.#bootHeldTold.keys()) {
      if (this.#options.get(image) === undefined) this.#bootHeldTold.delete(image);
    }
    for (const session of this.#options.sessions()) {
      const { revision } = session.reader.boots;
      const key = `${revision} ${session.piecesHad}`;
      if (revision === 0 || this.#bootHeldTold.get(session.id) === key) continue;
      this.#bootHeldTold.set(session.id, key);
      const pieces = session.reader.boots.orderedPieces();
      this.#options.onBootHeld(session.id, pieces.length, countHad(session, pieces));
    }
  }

  #keep(): void {
    try {
      writeTasks(this.#options.directory, this.#tasks);
    } catch (error) {
      this.#options.onFailed('prefetch.json', error);
    }
  }
}

/** `tell`: the tracker, who may be away. */
export function prefetchRunnerOf(
  library: ImageLibrary,
  directory: string,
  log: Logger,
  tell: (said: PrefetchSaid) => void,
): PrefetchRunner {
  return new PrefetchRunner({
    directory,
    sessions: () => library.sessions,
    get: (image) => library.get(image),
    ensure: (image) => library.ensure(image),
    onState: (order, state) => tell({ type: 'prefetch-state', order, ...state }),
    onBootHeld: (image, pieces, piecesHad) => tell({ type: 'boot-held', image, pieces, piecesHad }),
    onFailed: (what, error) => log.warn({ what, error: messageOf(error) }, 'not prefetched'),
  });
}

function isLasting({ expiresAtMs }: KeptTask, now: number): boolean {
  return expiresAtMs === undefined || now < expiresAtMs;
}

function countHad({ held }: ImageSession, pieces: readonly number[]): number {
  return pieces.reduce((count, pieceIndex) => count + (held.has(pieceIndex) ? 1 : 0), 0);
}

function askFor({ held, reader, metainfo }: ImageSession, pieces: readonly number[]): void {
  let asked = 0;
  for (const pieceIndex of pieces) {
    if (held.has(pieceIndex)) continue;
    reader.prefetch(pieceIndex * metainfo.pieceLength, 1);
    asked += 1;
    if (asked === ASKED_PER_TICK) return;
  }
}
