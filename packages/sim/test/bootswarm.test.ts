/** Agents that join: the policy without guests, on an image whose piece layer has a swarm of its own. */
import { describe, expect, it } from 'vitest';
import { faultOf } from '../src/faults.ts';
import { BootswarmPolicy } from '../src/policies/bootswarm.ts';
import type { StormOptions } from '../src/storm-options.ts';
import { StormWorld } from '../src/storm-world.ts';
import { LINE } from './network-world.ts';

const PIECE_LENGTH = 65_536;
/** Their hashes are longer than metainfo carries. */
const PIECES = 1_200;
const LAYER_BYTES = PIECES * 32 + PIECES / 8;
const READ = { offset: 0, length: 1, thinkMs: 0 };

function started(change: Partial<StormOptions> = {}) {
  const length = PIECES * PIECE_LENGTH;
  const world = new StormWorld({
    trace: { name: 'test', length, reads: [READ], isZero: () => false },
    ...{ nodes: 3, vmsPerNode: 1, thinkScale: 0, arrivalMs: 0, nic: LINE, originNic: LINE },
    ...{ latencyMs: 0.2, zones: 1, betweenZones: Infinity, pieceLength: PIECE_LENGTH },
    ...{ isLearned: false, isKnownBefore: true, seed: 1 },
    ...change,
  });
  const policy = new BootswarmPolicy(world);
  const { clock, network, hosts, origin, tracker } = world;
  return {
    policy,
    run: (ms: number) => clock.run(clock.now + ms, () => false),
    join: () => policy.figures().join!,
    stop: (node: number) => {
      network.crash(hosts[node]);
      policy.onStopped(node);
    },
    restart: (node: number, isCacheKept: boolean) => {
      network.restart(hosts[node]);
      policy.onRestarted(node, isCacheKept);
    },
    stopOrigin: () => {
      network.crash(origin);
      policy.onOriginStopped();
    },
    stopTracker: () => {
      network.crash(tracker);
      policy.onTrackerStopped();
    },
    restartTracker: () => {
      network.restart(tracker);
      policy.onTrackerRestarted();
    },
  };
}

describe('an agent that joins', () => {
  it('gets metainfo from the tracker and the layer from its swarm', () => {
    const { policy, run, join } = started();
    policy.prepare();
    run(1_000);
    expect(join().joinMsMax).toBeLessThan(1_000);
    expect(join().layerBytes).toBeGreaterThanOrEqual(LAYER_BYTES);
    expect(join().trackerBytes).toBeLessThan(LAYER_BYTES);
  });

  it('gets both from the tracker when layers have no swarm', () => {
    const { policy, run, join } = started({ layerFrom: 'tracker' });
    policy.prepare();
    run(1_000);
    expect(join().joinMsMax).toBeLessThan(1_000);
    expect(join().layerBytes).toBe(0);
    expect(join().trackerBytes).toBeGreaterThan(3 * LAYER_BYTES);
  });

  it('answers no read before its swarm is open, not even of zeros', () => {
    const { policy, run } = started();
    const answered: string[] = [];
    policy.prepare();
    policy.diskOf(0).read([], READ, () => answered.push('zeros'), {});
    policy.diskOf(0).read([7], READ, () => answered.push('piece'), {});
    run(1);
    expect(answered).toEqual([]);
    run(1_000);
    expect(answered).toEqual(['zeros', 'piece']);
  });

  it('asks the tracker for a layer that its swarm does not give, and then gives it to others', () => {
    const { policy, run, join, stopOrigin } = started({ nodes: 20 });
    stopOrigin();
    policy.prepare();
    run(4_900);
    expect(join().joinMsP50).toBe(Infinity);
    run(10_000);
    expect(join().joinMsMax).toBeLessThan(10_200);
    expect(join().trackerBytes).toBeGreaterThan(LAYER_BYTES);
    expect(join().trackerBytes).toBeLessThan(12 * LAYER_BYTES);
  });

  it('tries again when the tracker was away', () => {
    const { policy, run, join, stopTracker, restartTracker } = started();
    policy.prepare();
    stopTracker();
    run(1_000);
    expect(join().joinMsP50).toBe(Infinity);
    restartTracker();
    run(10_000);
    expect(join().joinMsMax).toBeLessThan(11_000);
  });

  it('leaves the swarm of the layer with its process, whatever it was doing', () => {
    const { policy, run, join, stop } = started();
    policy.prepare();
    run(2);
    stop(0);
    run(20_000);
    stop(1);
    run(20_000);
    // Of those that are left; whose process is gone would be heard of if it still dialled.
    expect(join().joinMsMax).toBeLessThan(1_000);
  });

  it('needs nobody after a restart with its cache, and the tracker after one without', () => {
    const { policy, run, join, stop, restart, stopTracker } = started();
    policy.prepare();
    run(1_000);
    stopTracker();
    stop(0);
    restart(0, true);
    run(1_000);
    expect(join().joinMsMax).toBeLessThan(1_000);
    stop(0);
    restart(0, false);
    run(30_000);
    expect(join().joinMsMax).toBe(Infinity);
  });

  it('leaves who gives it a wrong piece of the layer', () => {
    const faults = [faultOf('poisoner', { share: 0.4 })];
    const { policy, run, join } = started({ nodes: 10, faults, isKnownBefore: false });
    for (let node = 0; node < 10; node += 1) {
      policy.begin(node);
      run(100);
    }
    run(5_000);
    expect(join().layerBans).toBeGreaterThan(0);
    expect(join().joinMsMax).toBeLessThan(5_000);
  });
});
