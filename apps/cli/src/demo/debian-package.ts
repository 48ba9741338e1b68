/** Fetches Debian packages with apt and unpacks them into a directory; installs nothing and needs no root. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import { runProgram } from './external-program.ts';

/** The package with a kernel that the meta package `linux-image-cloud-amd64` stands for today. */
export async function concreteKernelPackage(): Promise<string> {
  const meta = 'linux-image-cloud-amd64';
  const depends = await apt('apt-cache', ['depends', '--important', meta]);
  const concrete = /^\s*\|?Depends: (linux-image-\S+)$/m.exec(depends)?.[1];
  if (concrete !== undefined) return concrete;
  throw noPackage(meta);
}

/** Downloads the packages into `workDir` and unpacks all of them into `root`. */
export async function unpackPackages(
  packages: readonly string[],
  workDir: string,
  root: string,
): Promise<void> {
  const downloads = join(workDir, 'downloads');
  await mkdir(downloads);
  await apt('apt-get', ['--quiet', 'download', ...packages], downloads);
  for (const file of await readdir(downloads)) {
    await runProgram('dpkg', ['-x', join(downloads, file), root]);
  }
  await rm(downloads, { recursive: true });
}

async function apt(
  program: 'apt-cache' | 'apt-get',
  args: readonly string[],
  cwd?: string,
): Promise<string> {
  try {
    return await runProgram(program, args, { cwd });
  } catch (error) {
    if (error instanceof OperatorError && /Unable to locate|No packages found/.test(error.message))
      throw noPackage(args.at(-1) ?? '', error);
    throw error;
  }
}

function noPackage(name: string, cause?: unknown): OperatorError {
  return new OperatorError(
    'package-not-found',
    `apt knows no package ${name}, which the demo's image is made of`,
    'run apt-get update on a Debian for amd64, or boot an image of your own with --image FILE',
    { cause },
  );
}
