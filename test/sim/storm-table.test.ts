import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../bench/bench-flags.ts';
import { parseStormFlags } from '../../bench/storm/storm-flags.ts';
import { type JobResult, reasonOf } from '../../bench/storm/storm-jobs.ts';
import type { MeasuredStorm } from '../../bench/storm/storm-report.ts';
import { PICTURE_FLAGS, TABLE, type TableRow } from '../../bench/storm/table.ts';
import { parseTableFlags } from '../../bench/storm/table-flags.ts';
import {
  commandLineOf,
  commandLinesOf,
  lineOf,
  markdownOf,
} from '../../bench/storm/table-result.ts';

const row: TableRow = {
  name: 'calm-ratio',
  scenario: 'a storm',
  flags: '--nodes 50 --fault crash',
  calmFlags: '--nodes 50',
  figure: 'last ÷ calm',
  measure: (storm, calm) => storm.lastVmSeconds / calm.lastVmSeconds,
  unit: '×',
  target: 1.2,
  mark: 'nobody',
};

function report(lastVmSeconds: number | null): JobResult {
  const policies = [{ lastVmSeconds }] as unknown as MeasuredStorm[];
  return { type: 'report', report: { bench: 'storm', commit: '', options: {}, policies } };
}

/** Of seeds 1 to n: the storm's, and 10 s for the calm one. */
function resultsOf(...lasts: (JobResult | number | null)[]): Map<string, JobResult> {
  return new Map(
    lasts.flatMap((last, index) => {
      const result = typeof last === 'number' || last === null ? report(last) : last;
      const seed = index + 1;
      return [
        [commandLineOf(row.flags, seed, 1), result] as const,
        [commandLineOf(row.calmFlags!, seed, 1), report(10)] as const,
      ];
    }),
  );
}

const run = (seeds: number) => ({ seeds, nodesScale: 1, commit: 'abc' });

describe('figures table', () => {
  it.each([...new Set([...TABLE.map(({ flags }) => flags), PICTURE_FLAGS])])(
    'has storms that the benchmark takes: %s',
    (flags) => {
      expect(parseStormFlags(flags.split(' '))).toBeDefined();
    },
  );

  it('runs a storm once however many figures are read from it', () => {
    const lines = commandLinesOf(
      TABLE.filter(({ name }) => ['cold', 'simulator', 'origin-1000', 'crash'].includes(name)),
      2,
      1,
    );
    expect(lines.sort()).toEqual([
      '--nodes 1000 --seed 1',
      '--nodes 1000 --seed 2',
      '--nodes 1000 --until 600 --fault crash --seed 1',
      '--nodes 1000 --until 600 --fault crash --seed 2',
    ]);
  });

  it('scales numbers of nodes, to 4 at least', () => {
    expect(commandLineOf('--nodes 1000 --think 0', 3, 0.05)).toBe('--nodes 50 --think 0 --seed 3');
    expect(commandLineOf('--nodes 10', 1, 0.05)).toBe('--nodes 4 --seed 1');
  });

  it('takes the median over the seeds, and says how far they spread', () => {
    const line = lineOf(row, resultsOf(12, 30, 11), run(3));
    expect(line).toMatchObject({ median: 1.2, min: 1.1, max: 3, isMet: true, breaches: [] });
    expect(lineOf(row, resultsOf(12.1, 30, 11), run(3)).isMet).toBe(false);
  });

  it('has not met a target when a checker ended a storm, or a VM never got ready', () => {
    const failed = lineOf(row, resultsOf(11, { type: 'failed', what: 'seed 2, at …' }, 11), run(3));
    expect(failed).toMatchObject({ isMet: false, breaches: ['seed 2, at …'] });
    expect(markdownOf([failed])).toContain('| breach |');
    const never = lineOf(row, resultsOf(null), run(1));
    expect(never).toMatchObject({ isMet: false, median: Infinity });
    expect(markdownOf([never])).toContain('**never**');
  });

  it('finds what a checker said in what its process wrote', () => {
    const written =
      'file:///run-checker.ts:75\n  throw\n\nAssertionError: seed 1, at 5.1 ms: node3 errs\n  at …';
    expect(reasonOf(written)).toBe('seed 1, at 5.1 ms: node3 errs');
    expect(reasonOf('--nodes x is no number\n\nusage: …')).toBe('--nodes x is no number');
    expect(reasonOf('')).toBeUndefined();
  });

  it.each([
    ['--seeds 0', '--seeds 0'],
    ['--nodes-scale 2', '--nodes-scale 2'],
    ['--jobs 0', '--jobs 0'],
    ['--rows cold,hot', 'hot'],
    ['--picture maybe', 'yes or no'],
    ['--colour', '--colour'],
  ])('says what is wrong with %s', (flags, said) => {
    const parse = () => parseTableFlags(flags.split(' '));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(said);
  });
});

describe('storm --table', () => {
  const out = mkdtempSync(join(tmpdir(), 'storm-table-'));
  afterAll(() => rmSync(out, { recursive: true }));

  it('runs the rows it is asked for, and writes table, figures and nothing else', () => {
    const flags = `storm --table --rows origin-10,slow --seeds 1 --nodes-scale 0.004 --jobs 1 --picture no --out ${out}`;
    const { stdout, status } = spawnSync(
      process.execPath,
      [new URL('../../bench/main.ts', import.meta.url).pathname, ...flags.split(' ')],
      { encoding: 'utf8' },
    );
    expect(status).toBe(0);
    expect(stdout).toContain('2/2');
    expect(readdirSync(out).sort()).toEqual(['storm-table.json', 'storm-table.md']);
    const { rows } = JSON.parse(readFileSync(join(out, 'storm-table.json'), 'utf8'));
    expect(rows).toHaveLength(4);
    expect(rows[0]).toMatchObject({ name: 'origin-10', target: 1.05, median: 1, isMet: true });
    expect(rows[0].commandLine).toBe('--nodes 4 --seed 1');
    const markdown = readFileSync(join(out, 'storm-table.md'), 'utf8');
    expect(markdown).toContain('| ≤ 1.05 × | **1** × | 1 – 1 | 1 | met |');
  });
});
