import type { PolicyName } from '../storm-options.ts';
import type { StormWorld } from '../storm-world.ts';
import { BootswarmPolicy } from './bootswarm.ts';
import type { Policy } from './policy.ts';

export const POLICIES: Readonly<Record<PolicyName, (world: StormWorld) => Policy>> = {
  bootswarm: (world) => new BootswarmPolicy(world),
};
