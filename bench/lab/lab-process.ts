/**
 * Runs a program as the first process of a lab: network, mount and process namespaces of its own, and a directory. Whatever it
 * makes or starts there ends with it, and it ends with us: the kernel tidies up, also after kill -9. Only the directory is ours
 * to remove. What is in the lab is network-lab.ts's matter.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** --kill-child: the first process dies with unshare, and all others of its process namespace with that one. */
const UNSHARE = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
/** Ends unshare when this process ends, however it does. */
const WITH_US = ['setpriv', '--pdeathsig', 'KILL'];
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Why there can be no lab on this machine, and what to do; undefined if there can. */
export function labObstacle(): string | undefined {
  if (process.getuid?.() !== 0) {
    return 'network namespaces and their NICs need root: run it as root, or with sudo';
  }
  for (const program of ['ip', 'tc', 'unshare', 'setpriv']) {
    if (spawnSync(program, ['-V'], { stdio: 'ignore' }).error === undefined) continue;
    return `${program} is missing: apt-get install iproute2 util-linux`;
  }
  const [program, ...args] = [...UNSHARE, ...['tc', 'qdisc', 'add', 'dev', 'lo', 'root', ...TRIAL]];
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return undefined;
  const reason = stderr.trim().split('\n')[0];
  return (
    `this kernel or container gives us no network namespace with a token bucket (${reason}): ` +
    'run it where root may unshare, on a kernel with sch_tbf, veth and bridge'
  );
}

const TRIAL = ['tbf', 'rate', '1mbit', 'burst', '3000', 'limit', '3000'];

/**
 * Resolves with the exit code of `node FILE DIRECTORY ARGUMENT…` and what `take` made of the directory, which is gone by then.
 * A signal that ends us ends the lab first.
 */
export async function runInLab<T>(
  file: string,
  argument: string,
  take: (directory: string) => T,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'bsl-'));
  let child: ChildProcess | undefined;
  let signalled: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    signalled = signal;
    child?.kill('SIGKILL');
  };
  for (const signal of ENDING_SIGNALS) process.on(signal, onSignal);
  try {
    const [program, ...args] = [
      ...WITH_US,
      ...UNSHARE,
      ...[process.execPath, file, directory, argument],
    ];
    // A session of its own: Ctrl-C reaches us alone, and we end it.
    child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    const [code] = (await once(child, 'close')) as [number | null];
    if (signalled === undefined && code === 0) return take(directory);
    throw new Error(`the lab was ended by ${signalled ?? `itself, with code ${code}`}`);
  } finally {
    removeAll(directory);
    for (const signal of ENDING_SIGNALS) process.off(signal, onSignal);
  }
}

/** Processes of the lab that were killed a moment ago may hold files open, not make new ones. */
function removeAll(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}
