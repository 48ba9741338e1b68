/** Runs qemu-img, and reads from its failures what they mean. What it is to do is the caller's. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { errnoOf, OperatorError } from '@bootswarm/stdx';

const run = promisify(execFile);
/** Most of what it is asked does not take as long as a second, unless the disk hangs. */
const TOOL_TIMEOUT_MS = 60_000;

/**
 * Resolves to its standard output. `timeoutMs` 0: as long as it takes. Throws OperatorError `tool-missing`, and what execFile
 * throws.
 */
export async function qemuImg(
  args: readonly string[],
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<string> {
  try {
    const { stdout } = await run('qemu-img', args, {
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
      timeout: options.timeoutMs ?? TOOL_TIMEOUT_MS,
      signal: options.signal,
      killSignal: 'SIGKILL',
    });
    return stdout;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new OperatorError(
      'tool-missing',
      'qemu-img is not installed on this host',
      'Install it: apt install qemu-utils (Debian, Ubuntu) or dnf install qemu-img (Fedora, RHEL).',
    );
  }
}

/** Another program has the file open in a way that forbids this. */
export function isLockRefused(error: unknown): boolean {
  return /Failed to get .* lock/.test(stderrOf(error));
}

export function isDiskFull(why: string): boolean {
  return /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT/.test(why);
}

export function stderrOf(error: unknown): string {
  const stderr = (error as { stderr?: unknown }).stderr;
  return typeof stderr === 'string' ? stderr : '';
}
