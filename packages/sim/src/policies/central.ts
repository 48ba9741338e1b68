/**
 * Storage on the network, as iSCSI and NBD are used today: every VM has a stream of its own to the origin and reads from it what
 * it needs when it needs it. Nothing is kept on the node: what a guest keeps in its page cache it does not read again, so the
 * trace has that already. A volume knows nothing of zeros, so those are sent too.
 */
import type { GuestDisk } from '../guest.ts';
import { Cpu } from '../sim-costs.ts';
import type { StormWorld } from '../storm-world.ts';
import { BlockInitiator, BlockService } from './block-service.ts';
import type { Policy, PolicyFigures } from './policy.ts';

export class CentralPolicy implements Policy {
  readonly #world: StormWorld;
  readonly #target: BlockService;
  readonly #cpus: readonly Cpu[];
  #reads = 0;

  constructor(world: StormWorld) {
    this.#world = world;
    this.#target = new BlockService(world, world.origin, new Cpu(), (_offset, _length, done) =>
      done(),
    );
    this.#cpus = world.hosts.map(() => new Cpu());
  }

  prepare(): void {}

  begin(): void {}

  diskOf(node: number): GuestDisk {
    let initiator: BlockInitiator | undefined;
    return {
      read: (_pieces, { offset, length }, done) => {
        const { hosts, origin } = this.#world;
        initiator ??= new BlockInitiator(this.#world, hosts[node], origin, this.#cpus[node]);
        this.#reads += 1;
        initiator.read(offset, length, done);
      },
    };
  }

  figures(): PolicyFigures {
    return {
      originBytes: this.#target.bytesSent,
      stallsBySource: { peers: 0, origin: this.#reads },
      originRequests: { 'every-read': this.#reads },
      prefetchedUnusedRatio: 0,
    };
  }
}
