import type { PolicyName } from '../storm-options.ts';
import type { StormWorld } from '../storm-world.ts';
import { BittorrentPolicy } from './bittorrent.ts';
import { BootswarmPolicy } from './bootswarm.ts';
import { CentralPolicy } from './central.ts';
import { CopyPolicy } from './copy.ts';
import type { Policy } from './policy.ts';
import { TreePolicy } from './tree.ts';

export const POLICIES: Readonly<Record<PolicyName, (world: StormWorld) => Policy>> = {
  bootswarm: (world) => new BootswarmPolicy(world),
  central: (world) => new CentralPolicy(world),
  copy: (world) => new CopyPolicy(world),
  tree: (world) => new TreePolicy(world),
  bittorrent: (world) => new BittorrentPolicy(world),
};
