/**
 * The engine's work for one piece, and whether it grows: with the members known, with the open wires, with the pieces of the
 * image; and for one epoch of the member order. CPU time of this process, all cases by turns, the median of the rounds. What is
 * compared is one case with the smallest of its series: 1.00 is flat.
 */
import { benchFlags, whole } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { directoryOf, EngineRig, RIG_PIECES, type RigOptions } from './engine-rig.ts';

/** One in the middle of 1,000 nodes keeps 12 wires that it dials, and about as many that others dial. */
const USUAL = { members: 1_000, wires: 24, pieces: 65_536 };
const EPOCHS = 256;

interface Case {
  readonly series: string;
  readonly name: string;
  readonly unit: string;
  /** Makes what is needed, and returns what is measured: it does its work `count` times. */
  prepare(): { readonly count: number; run(): void };
}

const { rounds, json } = benchFlags('engine', {
  rounds: whole('times each case is measured, by turns', 41),
});
const cases = allCases();
reportBench('engine', rowsOf(cases, measure(cases, rounds)), json);
function allCases(): Case[] {
  const cases: Case[] = [];
  for (const workload of ['boot', 'fill'] as const) {
    const add = (series: string, name: string, options: Partial<RigOptions>) =>
      cases.push(
        pieceCase(`${workload}: ${series}`, `${workload}: ${name}`, {
          ...USUAL,
          workload,
          ...options,
        }),
      );
    for (const members of [10, 100, 1_000, 10_000]) {
      add('members', `${members} members known`, { members });
    }
    for (const wires of [4, 16, 64]) add('wires', `${wires} open wires`, { wires });
    for (const pieces of [1_000, 10_000, 100_000, 1_000_000]) {
      add('pieces', `${pieces} pieces in the image`, { pieces });
    }
  }
  for (const members of [10, 100, 1_000, 10_000]) cases.push(epochCase(members));
  for (const members of [10, 100, 1_000, 10_000]) cases.push(directoryCase(members));
  return cases;
}

function pieceCase(series: string, name: string, options: RigOptions): Case {
  return {
    series,
    name,
    unit: 'ns/piece',
    prepare() {
      const rig = new EngineRig(options);
      return { count: RIG_PIECES, run: () => rig.run() };
    },
  };
}

/** The engine hears of an epoch in which the last member is new, or gone. */
function epochCase(members: number): Case {
  const directories = [directoryOf(members), directoryOf(members + 1)];
  return {
    series: 'epoch',
    name: `an epoch of ${members} members, one new or gone`,
    unit: 'ns/epoch',
    prepare() {
      const rig = new EngineRig({ ...USUAL, workload: 'boot', members });
      return {
        count: EPOCHS,
        run: () => {
          for (let n = 0; n < EPOCHS; n += 1) rig.setMembers(directories[(n + 1) % 2]);
        },
      };
    },
  };
}

/** Made once per epoch, by whoever hears the tracker. */
function directoryCase(members: number): Case {
  const count = Math.max(1, Math.round(5_000 / members));
  return {
    series: 'directory',
    name: `making the directory of ${members} members`,
    unit: 'ns/member',
    prepare() {
      return {
        count: count * members,
        run: () => {
          for (let n = 0; n < count; n += 1) directoryOf(members);
        },
      };
    },
  };
}

/** Nanoseconds by case, of each round. */
function measure(cases: readonly Case[], rounds: number): number[][] {
  const nanoseconds = cases.map((): number[] => []);
  // The first round warms up.
  for (let round = -1; round < rounds; round += 1) {
    cases.forEach((each, n) => {
      const { count, run } = each.prepare();
      const before = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) nanoseconds[n].push(((user + system) * 1_000) / count);
    });
  }
  return nanoseconds;
}

function rowsOf(cases: readonly Case[], nanoseconds: readonly (readonly number[])[]): BenchRow[] {
  const medians = nanoseconds.map(median);
  return cases.map(({ series, name, unit }, n) => {
    const smallest = cases.findIndex((each) => each.series === series);
    return { name, value: medians[n], unit, growth: medians[n] / medians[smallest] };
  });
}
