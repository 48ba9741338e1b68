/**
 * Boots that nobody recorded, drawn from a seed, for what is tuned to no trace. Unlike the shipped one they have two phases:
 * loader, kernel and initrd in large reads, one after another; a pause of seconds; then a system that starts many programs,
 * some read whole in larger reads, most touched here and there in small ones, with pauses of up to a second in between. Files lie
 * scattered over a disk of which a quarter is not zero and a quarter of that is read.
 */
import { Random } from '@bootswarm/stdx';

const GRANULE_BYTES = 65_536;
const KIB = 1024;
/** What is read, of what is not zero, and that of the disk. */
const READ_SHARE = 0.25;
const DATA_SHARE = 0.25;
/** Of the bytes: loader, kernel and initrd. */
const FIRST_PHASE_SHARE = 0.25;
/** Of the files of the second phase: read whole. */
const WHOLE_SHARE = 0.3;
const FILE_GRANULES_MAX = 128;

export interface SyntheticTrace {
  readonly name: string;
  readonly sizeBytes: number;
  readonly granuleBytes: number;
  readonly dataGranules: readonly (readonly [first: number, count: number])[];
  readonly reads: readonly (readonly [microseconds: number, offset: number, length: number])[];
}

type Extent = readonly [first: number, count: number];

/** In the format of bench/traces. `neededBytes`: of the granules of 64 KiB that are touched, to within one. */
export function syntheticTrace(seed: number, neededBytes: number): SyntheticTrace {
  const random = new Random(seed);
  const granules = Math.max(1, Math.round(neededBytes / GRANULE_BYTES));
  const dataGranules = layOut(random, Math.ceil(granules / READ_SHARE));
  const [last, count] = dataGranules.at(-1)!;
  const reader = new Reader(random, granules);
  const files = random.shuffle([...dataGranules]);
  const untilPause = Math.ceil(granules * FIRST_PHASE_SHARE);
  let next = 0;
  while (reader.touched.size < untilPause) {
    reader.readWhole(files[next], 256 * KIB, 1024 * KIB, 0.2);
    next += 1;
  }
  reader.pause(2_000 + 4_000 * random.float());
  while (!reader.isDone) {
    const file = files[next];
    if (random.float() < WHOLE_SHARE) reader.readWhole(file, 64 * KIB, 256 * KIB, 1);
    else reader.readScattered(file);
    if (random.float() < 0.1) reader.pause(1_000 * random.float() ** 2);
    next += 1;
  }
  return {
    name: `synthetic:${seed}:${Math.round(neededBytes / 1e6)}`,
    sizeBytes: (last + count) * GRANULE_BYTES,
    granuleBytes: GRANULE_BYTES,
    dataGranules,
    reads: reader.reads,
  };
}

/** Files in order of their place, with room between them. */
function layOut(random: Random, dataGranules: number): Extent[] {
  const files: Extent[] = [];
  let at = 0;
  for (let left = dataGranules; left > 0; ) {
    // Many are small and a few are large: sizes are spread evenly over powers.
    const wanted = Math.ceil(FILE_GRANULES_MAX ** random.float());
    const count = Math.min(left, wanted);
    files.push([at, count]);
    left -= count;
    at += count + Math.round(2 * random.float() * count * (1 / DATA_SHARE - 1));
  }
  return files;
}

class Reader {
  readonly #random: Random;
  readonly #granules: number;
  #microseconds = 0;
  readonly touched = new Set<number>();
  readonly reads: [microseconds: number, offset: number, length: number][] = [];

  constructor(random: Random, granules: number) {
    this.#random = random;
    this.#granules = granules;
  }

  get isDone(): boolean {
    return this.touched.size >= this.#granules;
  }

  pause(ms: number): void {
    this.#microseconds += Math.round(ms * 1_000);
  }

  /** From its start to its end, each read as long as the one before. */
  readWhole([first, count]: Extent, shortest: number, longest: number, thinkMs: number): void {
    const length = shortest * 2 ** Math.floor(this.#random.float() * Math.log2(longest / shortest));
    const end = (first + count) * GRANULE_BYTES;
    for (let at = first * GRANULE_BYTES; at < end && !this.isDone; at += length) {
      this.#read(at, Math.min(length, end - at), thinkMs);
    }
  }

  /** Here and there, not in order: a third of its granules, at most 24. */
  readScattered([first, count]: Extent): void {
    const times = Math.min(24, Math.ceil(count / 3));
    for (let n = 0; n < times && !this.isDone; n += 1) {
      const length = 4 * KIB * (1 + this.#random.below(4));
      const blocks = (count * GRANULE_BYTES - length) / (4 * KIB);
      const at = first * GRANULE_BYTES + this.#random.below(blocks + 1) * 4 * KIB;
      this.#read(at, length, 3);
    }
  }

  /** After a pause of `thinkMs` on average. */
  #read(offset: number, length: number, thinkMs: number): void {
    this.pause(2 * thinkMs * this.#random.float());
    const last = Math.floor((offset + length - 1) / GRANULE_BYTES);
    let end = offset + length;
    for (let granule = Math.floor(offset / GRANULE_BYTES); granule <= last; granule += 1) {
      if (this.isDone && !this.touched.has(granule)) {
        end = granule * GRANULE_BYTES;
        break;
      }
      this.touched.add(granule);
    }
    if (end > offset) this.reads.push([this.#microseconds, offset, end - offset]);
  }
}
