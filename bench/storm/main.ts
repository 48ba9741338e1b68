/**
 * A boot storm in the simulator: the real engine and the real registry of swarms on a simulated network, replaying a recorded
 * boot on every node, beside what clouds do today. Prints what guests saw and what the origin sent. Virtual time: the same
 * commit, options and seed give the same figures on any machine. With --real the same storm of real programs on this machine,
 * to hold the simulator against.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PolicyName, runStorm, type StormOptions } from '@bootswarm/sim';
import { UsageError } from '../bench-flags.ts';
import { labObstacle, runInLab } from '../lab/lab-process.ts';
import type { MeasuredRealStorm } from './real/real-report.ts';
import type { RealStormResult } from './real/real-result.ts';
import type { RealStormOptions } from './real/real-storm.ts';
import { drawStorms } from './storm-chart.ts';
import { parseStormFlags, type StormCommand, USAGE } from './storm-flags.ts';
import { type MeasuredStorm, printStorm, reportOf, writeReport } from './storm-report.ts';
import { parseTableFlags, TABLE_USAGE } from './table-flags.ts';
import { runTable } from './table-main.ts';

const args = process.argv.slice(2);
if (args.includes('--table')) {
  const command = parsed(parseTableFlags, TABLE_USAGE);
  if (command !== undefined) await runTable(command);
} else {
  const command = parsed(parseStormFlags, USAGE);
  if (command?.real !== undefined) await runReal(command, command.real);
  else if (command !== undefined) runStorms(command);
}

/** Undefined when the usage was asked for, and shown. */
function parsed<T>(
  parse: (args: readonly string[]) => T | undefined,
  usage: string,
): T | undefined {
  try {
    const command = parse(args);
    if (command === undefined) process.stdout.write(usage);
    return command;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const which = usage === USAGE ? '' : ' --table';
    process.stderr.write(
      `${error.message}\nnpm run bench -- storm${which} --help tells of all flags\n`,
    );
    process.exit(2);
  }
}

function runStorms({ policies, storm, jsonPath, svgPath, title, given }: StormCommand): void {
  const results = policies.map((policy) => measure(policy, storm));
  if (jsonPath !== undefined) writeReport(jsonPath, reportOf(given, results));
  if (svgPath !== undefined) writeFileSync(svgPath, drawStorms(title, results));
}

async function runReal({ jsonPath, given }: StormCommand, storm: RealStormOptions): Promise<void> {
  const obstacle = labObstacle();
  if (obstacle !== undefined) {
    process.stderr.write(`storm --real: ${obstacle}\n`);
    process.exit(1);
  }
  const startedAt = performance.now();
  const lab = new URL('./real/main.ts', import.meta.url).pathname;
  const result = await runInLab(lab, JSON.stringify(storm), (directory) => {
    return JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')) as RealStormResult;
  });
  const wallSeconds = (performance.now() - startedAt) / 1_000;
  const measured: MeasuredRealStorm = { ...result, wallSeconds };
  printStorm(measured);
  if (jsonPath !== undefined) writeReport(jsonPath, reportOf(given, [measured]));
}

function measure(policy: PolicyName, storm: StormOptions): MeasuredStorm {
  const startedAt = performance.now();
  const result = runStorm({ ...storm, policy });
  const wallSeconds = (performance.now() - startedAt) / 1_000;
  // maxRSS is in KiB.
  const measured = { ...result, wallSeconds, rssMib: process.resourceUsage().maxRSS / 1024 };
  printStorm(measured);
  return measured;
}
