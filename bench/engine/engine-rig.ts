/**
 * One engine between scripted peers, without a network: its inputs are what a boot (or a fill) makes happen on a node that
 * relays, and every effect has its outcome at once, but pieces, which come when a few others are on their way. What is measured
 * is the engine's own work; how peers behave is the simulator's matter.
 */
import { Bitfield, Random } from '@bootswarm/stdx';
import {
  MemberDirectory,
  type SwarmEffect,
  SwarmEngine,
  type SwarmInput,
  type SwarmMember,
} from '@bootswarm/swarm-proto';

export interface RigOptions {
  /** boot: boot order, demands among it, a child for each piece. fill: rarest first from peers that have half each. */
  readonly workload: 'boot' | 'fill';
  /** Of the swarm, ourselves included, as the tracker tells. */
  readonly members: number;
  /** Open wires; those beyond the members' are of nodes that the tracker has not told of yet. */
  readonly wires: number;
  /** Of the image. */
  readonly pieces: number;
}

interface Wire {
  readonly peer: number;
  /** Up to where in the order it has announced its pieces. */
  announced: number;
}

type Input = SwarmInput<string>;
type Request = { readonly peer: number; readonly pieceIndex: number; readonly length: number };

/** Pieces fetched by one rig; all but a few of the smallest image's. */
export const RIG_PIECES = 960;
const PIECE_LENGTH = 65_536;
/** Of one piece of 64 KiB at 1 Gbit/s. */
const PIECE_MS = 0.5;
/** A guest reads files of a few pieces, here and there. */
const RUN_PIECES = 8;
/** Handed to the engine at a time, and asked ahead of the answers. */
const PREFETCH_PIECES = 16;
/** Announced at a time: what comes within haveBatchMs. */
const HAVE_PIECES = 100;
/** One piece in so many is not in the boot order, and demanded; as many are demanded while they are on their way. */
const DEMAND_EVERY = 8;

export class EngineRig {
  readonly #options: RigOptions;
  readonly #engine: SwarmEngine<string>;
  readonly #wires: Wire[] = [];
  /** Of a boot: what will be touched, in order. */
  readonly #order: readonly number[];
  /** Open requests of the engine, oldest first. */
  readonly #requests: Request[] = [];
  #now = 0;
  #stored = 0;

  constructor(options: RigOptions) {
    this.#options = options;
    this.#order = orderOf(options.pieces);
    this.#engine = new SwarmEngine<string>({
      shape: shapeOf(options.pieces),
      node: nodeAt(placeOf(options)),
      isOrigin: false,
      have: new Bitfield(options.pieces),
      random: new Random(1),
      // So many strangers dial us as the case has wires.
      limits: { peersDialledMin: 0 },
    });
    this.setMembers(directoryOf(options.members));
    for (let other = 0; this.#wires.length < options.wires; other += 1) {
      this.#connect(`stranger${other}`, undefined);
    }
  }

  /** What it did, to be compared with what it was to do. */
  get stats() {
    return this.#engine.snapshot().stats;
  }

  /** The tracker tells of an epoch. */
  setMembers(members: MemberDirectory): void {
    this.#input({ type: 'members', members, origins: [] });
  }

  /** Fetches RIG_PIECES. */
  run(): void {
    const step = this.#options.workload === 'boot' ? this.#bootStep : this.#fillStep;
    if (this.#options.workload === 'fill') this.#input({ type: 'fill', enabled: true });
    for (let n = 0; this.#stored < RIG_PIECES; n += 1) {
      step.call(this, n);
      this.#now += PIECE_MS;
      if (this.#engine.timeout() <= this.#now) this.#input({ type: 'wake' });
      if (n > 4 * RIG_PIECES) throw new Error(`only ${this.#stored} pieces came`);
    }
  }

  #bootStep(n: number): void {
    this.#announce(n);
    if (n < RIG_PIECES) this.#want(n);
    if (this.#requests.length > PREFETCH_PIECES || n >= RIG_PIECES) this.#answer();
  }

  #fillStep(): void {
    this.#answer();
  }

  /** A child asks for what the boot order names next; the guest is a little behind. */
  #want(n: number): void {
    const order = this.#order;
    if (n % PREFETCH_PIECES === 0) {
      const batch = order.slice(n, n + PREFETCH_PIECES);
      const pieceIndexes = batch.filter((_, k) => (n + k) % DEMAND_EVERY !== 0);
      this.#input({ type: 'prefetch', pieceIndexes });
    }
    // The parents are dialled, and come first.
    const children = Math.min(2, this.#wires.length >> 1);
    const { peer } = this.#wires[this.#wires.length - 1 - (n % children)];
    const block = { pieceIndex: order[n], offset: 0, length: PIECE_LENGTH };
    const message = { type: 'request', ...block, pieceClass: 'boot-order' } as const;
    this.#input({ type: 'message', peer, message });
    if (n % DEMAND_EVERY === 0) this.#input({ type: 'demand', pieceIndex: order[n] });
    const late = n - (DEMAND_EVERY >> 1);
    if (late >= 0 && late % DEMAND_EVERY === 0) {
      this.#input({ type: 'demand', pieceIndex: order[late + 1] });
    }
  }

  /** Each wire announces as many pieces as we fetch, by turns; half of them are ahead of us and half behind. */
  #announce(n: number): void {
    const { length } = this.#wires;
    for (let k = n % HAVE_PIECES; k < length; k += HAVE_PIECES) {
      const wire = this.#wires[k];
      const isAhead = k % 2 === 0;
      const end = Math.min(RIG_PIECES, n + (isAhead ? 2 : 0) * HAVE_PIECES);
      if (end <= wire.announced) continue;
      const pieceIndexes = this.#order.slice(wire.announced, end);
      wire.announced = end;
      this.#input({ type: 'message', peer: wire.peer, message: { type: 'have', pieceIndexes } });
    }
  }

  #answer(): void {
    const request = this.#requests.shift();
    if (request === undefined) return;
    const { peer, pieceIndex, length } = request;
    const block = { pieceIndex, offset: 0, length, payload: 'bytes' };
    this.#input({ type: 'message', peer, message: { type: 'piece', ...block } });
  }

  #connect(node: string, dialled: string | undefined): void {
    const peer = this.#wires.length;
    this.#wires.push({ peer, announced: 0 });
    const identity = { kind: 'ours', node, zone: 'z', rack: 'r', isOrigin: false } as const;
    this.#input({ type: 'peer-connected', peer, identity, dialled });
    this.#input({ type: 'message', peer, message: { type: 'unchoke' } });
    if (this.#options.workload === 'boot') return;
    const bitfield = halfOf(this.#options.pieces, peer);
    this.#input({ type: 'message', peer, message: { type: 'bitfield', bitfield } });
  }

  #input(input: Input): void {
    const engine = this.#engine;
    engine.handle(input, this.#now);
    for (let effect = engine.poll(); effect !== undefined; effect = engine.poll()) {
      this.#carryOut(effect);
    }
  }

  #carryOut(effect: SwarmEffect<string>): void {
    switch (effect.type) {
      case 'send':
        if (effect.message.type === 'request') {
          const { pieceIndex, length } = effect.message;
          this.#requests.push({ peer: effect.peer, pieceIndex, length });
        }
        return;
      case 'verify': {
        const { pieceIndex, peer } = effect;
        return this.#input({ type: 'verified', pieceIndex, peer, isGood: true });
      }
      case 'deliver':
        this.#stored += 1;
        return this.#input({ type: 'stored', pieceIndex: effect.pieceIndex, isKept: true });
      case 'upload':
        return this.#input({ ...effect, type: 'uploaded', isSent: true });
      case 'dial':
        if (this.#wires.length < this.#options.wires) return this.#connect(effect.host, effect.key);
        return this.#input({ type: 'dial-failed', key: effect.key });
      case 'disconnect':
        throw new Error(`wire ${effect.peer} is closed: ${effect.code}`);
      case 'suspect':
        return;
    }
  }
}

/** All in one zone. */
export function directoryOf(members: number): MemberDirectory {
  const list: SwarmMember[] = [];
  for (let place = 0; place < members; place += 1) {
    const node = nodeAt(place);
    list.push({ node, zone: 'z', rack: 'r', place, host: node, port: 1 });
  }
  return new MemberDirectory(list);
}

/** Several halves, made once for each image: the engine keeps none of them. */
const HALVES = 6;
const halves = new Map<number, readonly Bitfield[]>();

function halfOf(pieces: number, peer: number): Bitfield {
  let known = halves.get(pieces);
  if (known === undefined) {
    const random = new Random(7);
    known = Array.from({ length: HALVES }, () => {
      const half = new Bitfield(pieces);
      for (let index = 0; index < pieces; index += 1) if (random.below(2) === 0) half.set(index);
      return half;
    });
    halves.set(pieces, known);
  }
  return known[peer % HALVES];
}

function shapeOf(pieceCount: number) {
  return { pieceCount, pieceLength: PIECE_LENGTH, length: pieceCount * PIECE_LENGTH };
}

function nodeAt(place: number): string {
  return `node${place}`;
}

/** In the middle: neither a root, which asks the origin, nor the last. */
function placeOf({ members }: RigOptions): number {
  return members >> 1;
}

/** Runs of pieces all over the image, each once: steps of the golden section, made to have no divisor in common with it. */
function orderOf(pieces: number): number[] {
  const runs = Math.floor(pieces / RUN_PIECES);
  let step = Math.floor(runs * 0.618);
  while (divisor(step, runs) > 1) step += 1;
  return Array.from({ length: RIG_PIECES }, (_, n) => {
    const run = (Math.floor(n / RUN_PIECES) * step) % runs;
    return run * RUN_PIECES + (n % RUN_PIECES);
  });
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
