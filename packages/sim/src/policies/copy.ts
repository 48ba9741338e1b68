/**
 * The image is copied to the node, then booted from: Glance and Nova today. From a node's first guest on, all that is not zero in
 * the image (a sparse qcow2 holds no more) comes over one HTTP stream; every guest's first read waits for the end of it.
 */
import type { GuestDisk } from '../guest.ts';
import { timesOf } from '../guest-figures.ts';
import { Cpu } from '../sim-costs.ts';
import type { StormWorld } from '../storm-world.ts';
import { BlockInitiator, BlockService } from './block-service.ts';
import type { Policy, PolicyFigures } from './policy.ts';

/** The body of the response goes out in parts of this size, */
const PART_BYTES = 1024 * 1024;
/** of which so many are on their way: more than the network holds, and little enough for the memory of a server. */
const PARTS_IN_FLIGHT = 4;

interface Copy {
  isDone: boolean;
  readonly waiting: (() => void)[];
}

export class CopyPolicy implements Policy {
  readonly #world: StormWorld;
  readonly #store: BlockService;
  readonly #copies: readonly Copy[];
  readonly #imageBytes: number;
  #firstReads = 0;

  constructor(world: StormWorld) {
    this.#world = world;
    this.#store = new BlockService(world, world.origin, new Cpu(), (_offset, _length, done) =>
      done(),
    );
    this.#copies = world.hosts.map(() => ({ isDone: false, waiting: [] }));
    const { zero, pieceCount } = world.pieces;
    const indexes = Array.from({ length: pieceCount }, (_, index) => index);
    this.#imageBytes = world.bytesOf(indexes.filter((index) => !zero.has(index)));
  }

  prepare(): void {}

  begin(node: number): void {
    const { hosts, origin } = this.#world;
    const http = new BlockInitiator(this.#world, hosts[node], origin, new Cpu());
    let asked = 0;
    let open = 0;
    const ask = (): void => {
      for (; open < PARTS_IN_FLIGHT && asked < this.#imageBytes; open += 1) {
        const length = Math.min(PART_BYTES, this.#imageBytes - asked);
        http.read(asked, length, () => {
          open -= 1;
          if (open === 0 && asked === this.#imageBytes) this.#finish(node);
          else ask();
        });
        asked += length;
      }
    };
    if (this.#imageBytes === 0) this.#finish(node);
    else ask();
  }

  diskOf(node: number): GuestDisk {
    return { read: (_pieces, _range, done) => this.#whenCopied(node, done) };
  }

  readonly fetchAll = (node: number, onDone: () => void): void => this.#whenCopied(node, onDone);

  figures(): PolicyFigures {
    const used = this.#world.neededBytes;
    return {
      originBytes: this.#store.bytesSent,
      stallsBySource: { peers: 0, origin: this.#firstReads },
      originRequests: { copy: this.#copies.length },
      prefetchedUnusedRatio: timesOf(this.#imageBytes - used, used),
    };
  }

  #whenCopied(node: number, done: () => void): void {
    const copy = this.#copies[node];
    if (copy.isDone) return done();
    this.#firstReads += 1;
    copy.waiting.push(done);
  }

  #finish(node: number): void {
    const copy = this.#copies[node];
    copy.isDone = true;
    for (const done of copy.waiting.splice(0)) done();
  }
}
