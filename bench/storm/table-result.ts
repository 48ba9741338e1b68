/** From storms to the table: the median over the seeds of each figure, whether it is reached, and how that is shown. */
import { median } from '../bench-report.ts';
import type { JobResult } from './storm-jobs.ts';
import type { MeasuredStorm } from './storm-report.ts';
import { TABLE, type TableRow } from './table.ts';

export interface TableLine {
  readonly name: string;
  readonly scenario: string;
  readonly figure: string;
  readonly unit: string;
  readonly target: number;
  readonly mark: string;
  /** Of the seeds; Infinity when a VM was never ready. */
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly isMet: boolean;
  /** What checkers said that ended storms of it; with one, it is not met. */
  readonly breaches: readonly string[];
  /** Of the first seed. */
  readonly commandLine: string;
  /** Seeds 1 to this. */
  readonly seeds: number;
  /** What it was measured on. */
  readonly commit: string;
}

/** The command line of a row's storm with one seed; every number of nodes times `nodesScale`, 4 at least. */
export function commandLineOf(flags: string, seed: number, nodesScale: number): string {
  const scaled = flags.replace(/--nodes (\d+)/, (_, nodes) => {
    return `--nodes ${Math.max(Math.min(4, Number(nodes)), Math.round(Number(nodes) * nodesScale))}`;
  });
  return `${scaled} --seed ${seed}`;
}

/** Every storm that the rows need. */
export function commandLinesOf(
  rows: readonly TableRow[],
  seeds: number,
  nodesScale: number,
): string[] {
  const all = rows.flatMap(({ flags, calmFlags = flags }) =>
    seedsUpTo(seeds).flatMap((seed) =>
      [flags, calmFlags].map((each) => commandLineOf(each, seed, nodesScale)),
    ),
  );
  return [...new Set(all)];
}

export function lineOf(
  row: TableRow,
  results: ReadonlyMap<string, JobResult>,
  { seeds, nodesScale, commit }: { seeds: number; nodesScale: number; commit: string },
): TableLine {
  const { flags, calmFlags = flags, measure, name, scenario, figure, unit, target, mark } = row;
  const breaches: string[] = [];
  const values: number[] = [];
  for (const seed of seedsUpTo(seeds)) {
    const [storm, calm] = [flags, calmFlags].map((each) =>
      results.get(commandLineOf(each, seed, nodesScale)),
    );
    if (storm?.type === 'report' && calm?.type === 'report') {
      values.push(measure(stormOf(storm), stormOf(calm)));
    } else {
      const failed = storm?.type === 'failed' ? storm : calm;
      breaches.push(failed?.type === 'failed' ? failed.what : 'was not run');
    }
  }
  const middle = median(values) ?? Infinity;
  return {
    name,
    scenario,
    figure,
    unit,
    target,
    mark,
    median: middle,
    min: Math.min(...values),
    max: Math.max(...values),
    isMet: breaches.length === 0 && middle <= target,
    breaches,
    commandLine: commandLineOf(flags, 1, nodesScale),
    seeds,
    commit,
  };
}

/** JSON has no Infinity: a VM that was never ready is null there. */
function stormOf({ report }: Extract<JobResult, { type: 'report' }>): MeasuredStorm {
  const restore = (_key: string, value: unknown): unknown => (value === null ? Infinity : value);
  return JSON.parse(JSON.stringify(report.policies[0]), restore);
}

/** The lines of an earlier run with those of this one in their place, in the order of the table. */
export function mergedLines(
  earlier: readonly TableLine[],
  lines: readonly TableLine[],
): TableLine[] {
  const byKey = new Map([...earlier, ...lines].map((line) => [keyOf(line), line]));
  return TABLE.flatMap((row) => byKey.get(keyOf(row)) ?? []);
}

function keyOf({ name, figure }: { name: string; figure: string }): string {
  return `${name}: ${figure}`;
}

function seedsUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

export function markdownOf(lines: readonly TableLine[]): string {
  const head = '| scenario | figure | target | median | min – max | seeds | | mark |';
  const body = lines.map((line, index) => {
    const { scenario, figure, unit, target, mark, isMet, breaches, seeds } = line;
    const same = lines[index - 1]?.scenario === scenario;
    const verdict = isMet ? 'met' : breaches.length > 0 ? 'breach' : 'missed';
    const cells = [
      same ? '' : scenario,
      figure,
      `≤ ${format(target)} ${unit}`,
      breaches.length === seeds ? '–' : `**${format(line.median)}** ${unit}`,
      breaches.length === seeds ? '–' : `${format(line.min)} – ${format(line.max)}`,
      seeds,
      verdict,
      mark,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return `${[head, '|---|---|---|---|---|---|---|---|', ...body].join('\n')}\n`;
}

export function printLines(lines: readonly TableLine[]): void {
  for (const line of lines) {
    const { scenario, figure, unit, target, isMet, breaches } = line;
    const values = `${format(line.median)} (${format(line.min)} – ${format(line.max)}) ${unit}`;
    const verdict = isMet ? 'met   ' : 'MISSED';
    console.log(`${verdict} ${scenario}: ${figure}: ${values}, target ${format(target)}`);
    for (const breach of breaches) console.log(`       breach: ${breach}`);
  }
}

function format(value: number): string {
  if (!Number.isFinite(value)) return 'never';
  if (Math.abs(value) >= 1_000) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 3).replace(/\.?0+$/, '');
}
