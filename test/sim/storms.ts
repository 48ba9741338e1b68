/** The storm that scenarios change: 24 nodes, the recorded boot, everything as in the figures table. */
import { runStorm, type StormOptions, type StormResult } from '@bootswarm/sim';
import { parseStormFlags } from '../../bench/storm/storm-flags.ts';

export const STORM: StormOptions = parseStormFlags(['--nodes', '24'])!.storm;

export function stormWith(change: Partial<StormOptions>): StormResult {
  return runStorm({ ...STORM, ...change });
}

/** With the options of the command line. */
export function stormOf(flags: string): StormResult {
  const { storm, policies } = parseStormFlags(['--nodes', '24', ...flags.split(' ')])!;
  return runStorm({ ...storm, policy: policies[0] });
}
