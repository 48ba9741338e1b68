/** Chooses the system calls at which crash-run.ts ends a process, and works through them. */
import { availableParallelism } from 'node:os';
import {
  BEGINNINGS,
  type CrashPoint,
  type CrashRun,
  FAILURES,
  type FaultKind,
  KILLS,
} from './crash-run.ts';

/** As many calls fail as there are left, as on a disk that is gone. */
const FOR_GOOD = 1_000_000;

/** Every call of a first and a second life, with everything that can befall it. */
export async function allPoints(run: CrashRun): Promise<CrashPoint[]> {
  const points: CrashPoint[] = [];
  for (const beginning of BEGINNINGS) {
    const calls = await run.callsOf(beginning);
    for (const [index, name] of calls.entries()) {
      const at = index + 1;
      for (const kind of KILLS) {
        if (canBefall(kind, name)) points.push({ beginning, kind, at, count: 1 });
      }
      for (const kind of FAILURES) {
        if (!canBefall(kind, name)) continue;
        points.push({ beginning, kind, at, count: 1 }, { beginning, kind, at, count: FOR_GOOD });
      }
    }
  }
  return points;
}

/** Every call of both lives, killed before and half way through it; one call in six fails, in one way or another. */
export async function shortPoints(run: CrashRun): Promise<CrashPoint[]> {
  return (await allPoints(run)).filter(({ kind, at, count }) => {
    const isTurn = at % 6 === 0 && kind === FAILURES[Math.floor(at / 6) % FAILURES.length];
    return isKill(kind) || (isTurn && count === 1);
  });
}

export function isKill(kind: FaultKind): boolean {
  return (KILLS as readonly FaultKind[]).includes(kind);
}

/** Resolves to what was wrong, a line for each point. As many processes at once as there are processors. */
export async function runPoints(run: CrashRun, points: readonly CrashPoint[]): Promise<string[]> {
  const problems: string[] = [];
  const left = points.values();
  const work = async (): Promise<void> => {
    for (const point of left) {
      const problem = await run.problemAt(point);
      if (problem !== undefined) problems.push(`${JSON.stringify(point)}: ${problem}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return problems;
}

/** Only a write has a middle. */
function canBefall(kind: FaultKind, call: string): boolean {
  return call === 'write' || (kind !== 'torn' && kind !== 'short');
}
