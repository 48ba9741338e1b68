/**
 * A plain BitTorrent swarm, as nbdkit's torrent plugin makes one of its nodes: what a guest waits for comes first, the rest of
 * the image rarest-first, from whoever has it; no learned order, no relay tree, and the origin is a seeder like any other. It is
 * the real engine under these conditions: it gets addresses, not a member order with itself in it, so it can compute no tree,
 * and no peer says it is an origin. Kinder than libtorrent in that nobody is choked and requests are whole pieces.
 */

import type { Random } from '@bootswarm/stdx';
import { MemberDirectory } from '@bootswarm/swarm-proto';
import type { Host } from '../network.ts';
import { Cpu } from '../sim-costs.ts';
import type { SimNode } from '../sim-node.ts';
import type { StormWorld } from '../storm-world.ts';
import { BlockInitiator, BlockService } from './block-service.ts';
import { SwarmPolicy } from './swarm-policy.ts';

/** What a tracker gives to one who announces itself (numwant), each as 6 bytes (BEP 23). */
const PEERS_GIVEN = 50;
const PEER_BYTES = 6;
/** nbdkit's torrent plugin sets libtorrent's connections_limit to it. */
const CONNECTIONS_MAX = 200;

export class BittorrentPolicy extends SwarmPolicy {
  readonly #random: Random;
  readonly #announced: Host[];

  constructor(world: StormWorld) {
    super(world, { isOriginSpecial: false, isOpenAtOnce: true, peersMax: CONNECTIONS_MAX });
    this.#random = world.nextRandom();
    this.#announced = [world.origin];
    new BlockService(world, world.tracker, new Cpu(), (_offset, _length, done) => done());
  }

  prepare(): void {
    if (!this.world.options.isKnownBefore) return;
    for (const [node, agent] of this.agents.entries()) if (agent) this.join(node, agent);
  }

  protected join(node: number, agent: SimNode): void {
    const { hosts, tracker } = this.world;
    const host = hosts[node];
    if (this.#announced.includes(host)) return;
    const peers = this.#random.shuffle([...this.#announced]).slice(0, PEERS_GIVEN);
    this.#announced.push(host);
    const announce = new BlockInitiator(this.world, host, tracker, new Cpu());
    announce.read(0, peers.length * PEER_BYTES, () => {
      // Addresses without names are what the engine knows origins by: it dials them all.
      agent.setMembers(
        MemberDirectory.EMPTY,
        peers.map(({ name }) => ({ host: name, port: 1 })),
      );
    });
  }

  protected leave(node: number): void {
    const place = this.#announced.indexOf(this.world.hosts[node]);
    if (place >= 0) this.#announced.splice(place, 1);
  }

  protected prefetch(agent: SimNode): void {
    agent.input({ type: 'fill', enabled: true });
  }

  /** It promises nothing about a guest that waits. */
  override get demand(): undefined {
    return undefined;
  }

  // Peers that know each other need no tracker, and nobody comes later.
  onTrackerStopped(): void {}
  onTrackerRestarted(): void {}
}
