/**
 * Runs a program of the host to its end and tells an operator what went wrong: which package is missing, or what the
 * program said. Long-lived children are child-process.ts's matter.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/** Programs the demo runs, and the Debian package of each. */
const PACKAGES = {
  'apt-cache': 'apt',
  'apt-get': 'apt',
  dpkg: 'dpkg',
  'grub-mkimage': 'grub-common',
  mke2fs: 'e2fsprogs',
  'qemu-img': 'qemu-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
} as const;

export type Program = keyof typeof PACKAGES;

/** Where programs for root are; an ordinary user's PATH often leaves them out. */
const SYSTEM_DIRS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
/** Program output kept: package lists are the longest, far below this. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** Absolute path of `program`, or undefined. */
function findProgram(program: Program): string | undefined {
  const dirs = [...(process.env.PATH ?? '').split(':').filter(Boolean), ...SYSTEM_DIRS];
  return dirs.map((dir) => join(dir, program)).find(isExecutable);
}

/** Throws OperatorError naming every Debian package that lacks. */
export function requirePrograms(programs: readonly Program[]): void {
  const missing = programs.filter((program) => findProgram(program) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PACKAGES[program]))];
  throw new OperatorError(
    'program-missing',
    `this machine has no ${missing.join(', ')}`,
    `apt-get install ${packages.join(' ')}`,
  );
}

/** Standard output. Throws OperatorError with the last lines the program wrote when it fails. */
export async function runProgram(
  program: Program,
  args: readonly string[],
  options: { readonly cwd?: string } = {},
): Promise<string> {
  requirePrograms([program]);
  const path = findProgram(program) ?? program;
  // Messages are matched and shown in English whatever the operator's locale.
  const env = { ...process.env, LC_ALL: 'C' };
  try {
    const run = promisify(execFile);
    return (await run(path, args, { ...options, env, maxBuffer: OUTPUT_BYTES_MAX })).stdout;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim().split('\n').slice(-3).join('\n');
    throw new OperatorError(
      'program-failed',
      `${program} failed: ${said || messageOf(error)}`,
      `see what this says on its own: ${[program, ...args].join(' ')}`,
      { cause: error },
    );
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
