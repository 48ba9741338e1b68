/**
 * An image of the swarm as the source of a copy. The agent of this host fills its cache as fast as it can; pieces are read from
 * the cache file as they become held, in whatever order they come, and each is compared with the image's tree here, so that
 * what the agent says of itself is never taken on trust. How the agent is asked is SwarmImages' matter.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Metainfo, PieceLayer } from '@bootswarm/metainfo';
import { type Bitfield, OperatorError, readWhole } from '@bootswarm/stdx';
import { sourceUnreadable } from './copy-error.ts';
import { bytesOfUnits, type CopySource, type Run, unitCountOf } from './copy-source.ts';
import { pathOf } from './held-directory.ts';

export interface SwarmImages {
  /** Resolves when the image is open on this host. Throws OperatorError. */
  open(image: string, signal: AbortSignal): Promise<SwarmImage>;
}

export interface SwarmImage {
  readonly metainfo: Pick<Metainfo, 'imageId' | 'name' | 'length' | 'pieceLength'>;
  readonly layer: PieceLayer;
  /** Of the cache file, in which piece p begins at p times the piece length. */
  readonly path: string;
  /** Pieces held, zero pieces included. Asking keeps the agent filling; resolves a moment after the last time. */
  held(signal: AbortSignal): Promise<Bitfield>;
  /** The agent need not fill any more. */
  close(): Promise<void>;
}

/** Read at once where pieces lie side by side. */
const RUN_BYTES_MAX = 1024 * 1024;
/** Without a new piece: so long that it is no hiccup of the swarm. */
const STALL_MS_MAX = 300_000;
/** The agent drops a piece that it finds damaged, and fetches it again. */
const DAMAGED_LOOKS_MAX = 100;

export class SwarmSource implements CopySource {
  readonly shown: string;
  readonly length: number;
  readonly unitLength: number;
  readonly version: string;
  readonly #image: SwarmImage;
  readonly #file: FileHandle;
  readonly #stallMsMax: number;

  private constructor(image: SwarmImage, file: FileHandle, stallMsMax: number) {
    const { imageId, length, pieceLength } = image.metainfo;
    this.shown = `swarm:${imageId}`;
    this.length = length;
    this.unitLength = pieceLength;
    this.version = imageId;
    this.#image = image;
    this.#file = file;
    this.#stallMsMax = stallMsMax;
  }

  static async open(
    images: SwarmImages,
    name: string,
    signal: AbortSignal,
    stallMsMax = STALL_MS_MAX,
  ): Promise<SwarmSource> {
    const image = await images.open(name, signal);
    try {
      return new SwarmSource(image, await open(image.path, 'r'), stallMsMax);
    } catch (error) {
      await image.close();
      throw sourceUnreadable(image.path, error);
    }
  }

  isRight(unit: number, bytes: Uint8Array): boolean {
    return this.#image.layer.verify(unit, bytes);
  }

  async cloneable(): Promise<string | undefined> {
    const held = await this.#image.held(AbortSignal.timeout(this.#stallMsMax));
    // What is open: an agent that evicts the image meanwhile takes the name away.
    return held.isFull ? pathOf(this.#file) : undefined;
  }

  async *runs(had: Bitfield, signal: AbortSignal): AsyncGenerator<Run> {
    // What was given, written or not.
    const given = had.clone();
    yield* this.#zeros(given);
    let damagedLooks = 0;
    let gaveAt = performance.now();
    while (!given.isFull) {
      const held = await this.#image.held(signal);
      signal.throwIfAborted();
      let isDamaged = false;
      for (let next = nextHeld(held, given, 0, this.#unitsMax); next; ) {
        const { first, count } = next;
        for await (const run of this.#read(first, count)) {
          signal.throwIfAborted();
          given.setRange(run.firstUnit, run.unitCount);
          gaveAt = performance.now();
          yield run;
        }
        for (let unit = first; unit < first + count; unit += 1) isDamaged ||= !given.has(unit);
        next = nextHeld(held, given, first + count, this.#unitsMax);
      }
      damagedLooks = isDamaged ? damagedLooks + 1 : 0;
      if (damagedLooks > DAMAGED_LOOKS_MAX) throw this.#damaged();
      if (performance.now() - gaveAt > this.#stallMsMax) throw this.#stalled(given);
    }
  }

  /** An image never changes: its id is the hash of what it is. */
  async recheck(): Promise<void> {}

  async close(): Promise<void> {
    await this.#file.close();
    await this.#image.close();
  }

  get #unitsMax(): number {
    return Math.max(1, Math.floor(RUN_BYTES_MAX / this.unitLength));
  }

  *#zeros(given: Bitfield): Generator<Run> {
    const { layer } = this.#image;
    const unitCount = unitCountOf(this);
    for (let unit = 0; unit < unitCount; unit += 1) {
      if (given.has(unit) || !layer.isZero(unit)) continue;
      const firstUnit = unit;
      while (
        unit < unitCount &&
        unit - firstUnit < this.#unitsMax &&
        layer.isZero(unit) &&
        !given.has(unit)
      )
        unit += 1;
      const count = unit - firstUnit;
      given.setRange(firstUnit, count);
      yield { firstUnit, unitCount: count, bytes: undefined };
      unit -= 1;
    }
  }

  /** Those of the units that are right: an agent that evicts or mends one meanwhile gives it again later. */
  async *#read(first: number, count: number): AsyncGenerator<Run> {
    const bytes = Buffer.allocUnsafeSlow(bytesOfUnits(this, first, count));
    const isWhole = await readWhole(this.#file, bytes, first * this.unitLength).catch(
      (error: unknown) => {
        throw sourceUnreadable(this.#image.path, error);
      },
    );
    if (!isWhole) return;
    let from = 0;
    for (let index = 0; index <= count; index += 1) {
      const start = index * this.unitLength;
      if (
        index < count &&
        this.isRight(first + index, bytes.subarray(start, start + this.unitLength))
      )
        continue;
      if (from < index) {
        const run = bytes.subarray(from * this.unitLength, index * this.unitLength);
        yield { firstUnit: first + from, unitCount: index - from, bytes: run };
      }
      from = index + 1;
    }
  }

  #damaged(): OperatorError {
    const { name } = this.#image.metainfo;
    return new OperatorError(
      'image-damaged',
      `pieces of image ${name} are not in ${this.#image.path} as they were published`,
      'The scrub of the agent fetches damaged pieces again; look for who else writes there, and after the disk.',
    );
  }

  #stalled(given: Bitfield): OperatorError {
    const { name } = this.#image.metainfo;
    const missing = unitCountOf(this) - given.count;
    return new OperatorError(
      'swarm-stalled',
      `no new piece of image ${name} came for ${Math.round(this.#stallMsMax / 1_000)} s; ${missing} are missing`,
      'See bootswarm status for the peers and the tracker, then run the same copy again: it goes on where it stopped.',
    );
  }
}

/** Units that are held and were not given yet. */
function nextHeld(
  held: Bitfield,
  given: Bitfield,
  from: number,
  unitsMax: number,
): { first: number; count: number } | undefined {
  let first = held.nextSet(from);
  while (first >= 0 && given.has(first)) first = held.nextSet(first + 1);
  if (first < 0) return undefined;
  let count = 1;
  while (count < unitsMax && held.has(first + count) && !given.has(first + count)) count += 1;
  return { first, count };
}
