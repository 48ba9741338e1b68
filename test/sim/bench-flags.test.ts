import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  decimal,
  given,
  names,
  parseBenchFlags,
  UsageError,
  usageOf,
  whole,
  wholeIfGiven,
  wholes,
} from '../../bench/bench-flags.ts';

const BENCH = new URL('../../bench', import.meta.url).pathname;
const BENCHES = readdirSync(BENCH).filter((name) => existsSync(join(BENCH, name, 'main.ts')));

const FLAGS = {
  repeat: whole('turns', 5),
  seconds: decimal('of each', 2, 0.1),
  vms: wholes('at once', [1, 8]),
  modes: names('which', ['warm'], ['warm', 'cold']),
  nodes: wholeIfGiven('hosts'),
  every: given('all of them'),
};

function parsed(flags: string) {
  return parseBenchFlags(FLAGS, flags === '' ? [] : flags.split(' '));
}

describe('flags of a benchmark', () => {
  it('have their defaults', () => {
    const { json, ...rest } = parsed('')!;
    const modes = ['warm'];
    expect(json).toBeUndefined();
    expect(rest).toEqual({ repeat: 5, seconds: 2, vms: [1, 8], modes, every: false });
  });

  it('are taken', () => {
    const flags = '--repeat 1 --seconds 0.5 --vms 2,3 --modes cold,warm --nodes 4 --every --json x';
    expect(parsed(flags)).toEqual({
      ...{ repeat: 1, seconds: 0.5, vms: [2, 3], modes: ['cold', 'warm'], nodes: 4, every: true },
      json: 'x',
    });
  });

  it('are told by --help with their defaults', () => {
    expect(parsed('--help')).toBeUndefined();
    expect(usageOf('it', FLAGS)).toBe(
      [
        'usage: npm run bench -- it [flags]',
        '  --repeat N        turns (5)',
        '  --seconds N       of each (2)',
        '  --vms N,...       at once (1,8)',
        '  --modes NAME,...  which (warm)',
        '  --nodes N         hosts',
        '  --every           all of them',
        '  --json FILE       write the result there',
        '',
      ].join('\n'),
    );
  });

  it.each([
    ['--repeat 0', '--repeat 0: give a whole number from 1 on'],
    ['--repeat 1.5', '--repeat 1.5: give a whole number'],
    ['--repeat=', '--repeat : give a whole number'],
    ['--seconds soon', '--seconds soon: give a number from 0.1 on'],
    ['--seconds=-1', '--seconds -1: give a number'],
    ['--seconds 1e999', '--seconds 1e999: give a number'],
    ['--vms 1,,2', '--vms 1,,2: give a whole number'],
    ['--modes hot', '--modes hot: hot is none of warm, cold'],
    ['--json /nowhere/x', '--json /nowhere/x cannot be written'],
    ['--speed 3', '--speed'],
    ['stray', 'stray'],
  ])('says what is wrong with %s', (flags, said) => {
    expect(() => parsed(flags)).toThrow(UsageError);
    expect(() => parsed(flags)).toThrow(said);
  });
});

describe.each(BENCHES)('npm run bench -- %s', (name) => {
  const bench = (...flags: string[]) => {
    const cwd = mkdtempSync(join(tmpdir(), 'bench-flags-'));
    const main = join(BENCH, 'main.ts');
    return spawnSync(process.execPath, [main, name, ...flags], { encoding: 'utf8', cwd });
  };

  it('tells of its flags', () => {
    const { status, stdout } = bench('--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^usage: npm run bench -- /);
    expect(stdout).toContain('--json FILE');
  });

  it.each([
    [['--no-such-flag'], '--no-such-flag'],
    [['--json', '/nowhere/x.json'], '--json /nowhere/x.json cannot be written'],
  ])('measures nothing with %j, and says why', (flags, said) => {
    const { status, stdout, stderr } = bench(...flags);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(said);
    expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(4);
  });
});
