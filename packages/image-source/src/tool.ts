/**
 * Runs one program of the host (qemu-img) on data that may be hostile: no shell, an environment that holds nothing of ours,
 * limits on CPU and memory, and no more of its output kept than a person would read. What the program is told is the caller's.
 */
import { spawn } from 'node:child_process';
import { errnoOf, OperatorError } from '@bootswarm/stdx';

export interface ToolRun {
  /** Program and arguments. */
  readonly command: readonly string[];
  /** Inherited by the program as descriptor 3, so that it reads the very file that was inspected. */
  readonly inputFd?: number;
  readonly limits: ToolLimits;
  /** Each piece of standard output, as it comes. */
  readonly onOutput?: (text: string) => void;
  /** Kills the program; the run ends when it is gone. */
  readonly signal?: AbortSignal;
}

export interface ToolLimits {
  readonly cpuSeconds: number;
  /** Bytes of the largest file it may write. */
  readonly fileLengthMax: number;
}

export interface ToolResult {
  /** undefined: it was killed. */
  readonly exitCode: number | undefined;
  /** The beginning of standard error, at most STDERR_KEPT characters. */
  readonly stderr: string;
}

/** Where a program finds the file that was given as `inputFd`. */
export const INPUT_PATH = '/proc/self/fd/3';

/** 2 GiB: 0.6 GiB for the stacks of qemu-img's 64 threads, and room for the largest tables a header may ask for. */
const ADDRESS_SPACE_MAX = 2 * 1024 ** 3;
const STDERR_KEPT = 2000;

/** Rejects with OperatorError `tool-missing`, or with the signal's reason when aborted. */
export async function runTool(run: ToolRun): Promise<ToolResult> {
  run.signal?.throwIfAborted();
  const limits = [
    `--cpu=${run.limits.cpuSeconds}`,
    `--fsize=${run.limits.fileLengthMax}`,
    `--as=${ADDRESS_SPACE_MAX}`,
    '--core=0',
  ];
  const child = spawn('prlimit', [...limits, ...run.command], {
    stdio: ['ignore', 'pipe', 'pipe', run.inputFd ?? 'ignore'],
    // One arena: each thread's own reserves 64 MiB, and a conversion then fails at random under the limit above.
    env: { PATH: process.env.PATH, LC_ALL: 'C', MALLOC_ARENA_MAX: '1' },
  });
  const kill = () => child.kill('SIGKILL');
  run.signal?.addEventListener('abort', kill);
  let stderr = '';
  child.stdout?.setEncoding('latin1').on('data', (text: string) => run.onOutput?.(text));
  child.stderr?.setEncoding('latin1').on('data', (text: string) => {
    stderr = (stderr + text).slice(0, STDERR_KEPT);
  });
  try {
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? undefined));
    });
    run.signal?.throwIfAborted();
    if (exitCode === EXIT_NOT_FOUND) throw toolMissing(run.command[0]);
    return { exitCode, stderr };
  } catch (error) {
    throw errnoOf(error) === 'ENOENT' ? toolMissing('prlimit') : error;
  } finally {
    run.signal?.removeEventListener('abort', kill);
  }
}

/** prlimit's exit code when the program does not exist (util-linux exec-failure convention, as in a shell). */
const EXIT_NOT_FOUND = 127;

function toolMissing(tool: string): OperatorError {
  return new OperatorError(
    'tool-missing',
    `${tool} is not installed on this host`,
    'Install it: apt install qemu-utils util-linux (Debian, Ubuntu) or dnf install qemu-img util-linux (Fedora, RHEL).',
  );
}
