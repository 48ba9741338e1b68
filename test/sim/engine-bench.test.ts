import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { EngineRig, RIG_PIECES } from '../../bench/engine/engine-rig.ts';

const PIECE_LENGTH = 65_536;
const BENCH = new URL('../../bench/main.ts', import.meta.url).pathname;

function bench(...options: string[]) {
  return spawnSync(process.execPath, [BENCH, 'engine', ...options], { encoding: 'utf8' });
}

test.each([
  { members: 10, wires: 24, pieces: 1_000 },
  { members: 10_000, wires: 4, pieces: 10_000 },
  { members: 1_000, wires: 64, pieces: 100_000 },
])(
  'the rig of $members members, $wires wires and $pieces pieces does the same work as the others',
  (size) => {
    const boot = new EngineRig({ ...size, workload: 'boot' });
    boot.run();
    // Every piece comes once from a peer and goes to one child.
    const expected = {
      bytesFromPeers: RIG_PIECES * PIECE_LENGTH,
      bytesFromOrigin: 0,
      bytesWasted: 0,
      hedges: 0,
    };
    expect(boot.stats).toMatchObject({ ...expected, piecesSent: RIG_PIECES });
    const fill = new EngineRig({ ...size, workload: 'fill' });
    fill.run();
    expect(fill.stats).toMatchObject({ ...expected, piecesSent: 0 });
  },
);

test('the engine benchmark shows its usage, and says which number of rounds it takes', () => {
  expect(bench('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--rounds') });
  const wrong = bench('--rounds', 'many');
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toContain('--rounds many: give a whole number from 1');
});
