/** What every benchmark prints and writes: rows of a value beside a peer's, and the commit they were measured at. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Who or what it is compared with; none: an absolute figure, or a limit. */
  readonly peer?: string;
  readonly peerValue?: number;
  /** Above 1: we are ahead. */
  readonly ratio?: number;
  /** Of work that must not grow: what it is to the smallest case of its series. */
  readonly growth?: number;
}

/** The middle of an odd number of measurements. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Prints the rows as a table; writes `{bench, commit, rows}` to `jsonPath` when it is given. */
export function reportBench(bench: string, rows: readonly BenchRow[], jsonPath?: string): void {
  for (const { name, value, unit, peer, peerValue, ratio, growth } of rows) {
    const beside = peer === undefined ? '' : `   ${peer}: ${format(peerValue)} ${unit}`;
    const ahead = ratio === undefined ? '' : `   ratio ${ratio.toFixed(2)}`;
    const grown = growth === undefined ? '' : `   growth ${growth.toFixed(2)}`;
    console.log(
      `${name.padEnd(52)} ${format(value).padStart(10)} ${unit}${beside}${ahead}${grown}`,
    );
  }
  if (jsonPath === undefined) return;
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  writeFileSync(jsonPath, `${JSON.stringify({ bench, commit, rows }, undefined, 2)}\n`);
}

function format(value: number | undefined): string {
  if (value === undefined) return '';
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
