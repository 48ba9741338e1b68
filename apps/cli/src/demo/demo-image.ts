/**
 * Keeps the demo's image in a cache directory and makes it when it is missing or its recipe has changed. A build goes to
 * a directory of its own and is renamed when it is whole, so a killed build or two at once leave nothing half made.
 */
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, OperatorError } from '@bootswarm/stdx';
import { concreteKernelPackage, unpackPackages } from './debian-package.ts';
import { buildDisk, requireGrub } from './disk-builder.ts';
import { requirePrograms } from './external-program.ts';
import { servicesSha256 } from './guest-files.ts';

/** Counts up with every change to what ends up on the disk. */
const RECIPE = 1;

export interface DemoImage {
  readonly path: string;
  /** What a guest must print after SUM_LINE. */
  readonly sha256: string;
  /** Seconds it took to make, or undefined when it was there. */
  readonly buildSeconds: number | undefined;
}

interface ImageRecord {
  readonly kernelPackage: string;
  readonly sha256: string;
}

/**
 * The image in `cacheDir`, made first when it has to be; `onBuild` is told so. Throws OperatorError when a program or a
 * package is missing.
 */
export async function prepareDemoImage(cacheDir: string, onBuild: () => void): Promise<DemoImage> {
  const home = join(cacheDir, `image-v${RECIPE}`);
  const path = join(home, 'disk.raw');
  const present = await readRecord(home);
  if (present !== undefined) return { path, sha256: present.sha256, buildSeconds: undefined };
  onBuild();
  const startedAt = performance.now();
  const built = await build(cacheDir, home);
  return { path, sha256: built.sha256, buildSeconds: (performance.now() - startedAt) / 1000 };
}

async function build(cacheDir: string, home: string): Promise<ImageRecord> {
  requireAmd64();
  requirePrograms(['apt-cache', 'apt-get', 'dpkg', 'grub-mkimage', 'mke2fs']);
  await requireGrub();
  await mkdir(cacheDir, { recursive: true });
  const workDir = await mkdtemp(join(cacheDir, 'build-'));
  try {
    const kernelPackage = await concreteKernelPackage();
    const packagesRoot = join(workDir, 'packages');
    await unpackPackages([kernelPackage, 'busybox-static'], workDir, packagesRoot);
    const made = join(workDir, 'image');
    await mkdir(made);
    await buildDisk(packagesRoot, workDir, join(made, 'disk.raw'));
    const record: ImageRecord = { kernelPackage, sha256: servicesSha256() };
    await writeFile(join(made, 'image.json'), `${JSON.stringify(record, null, 2)}\n`);
    await renameIfFirst(made, home);
    return record;
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** A second demo may have been quicker; its image is as good. */
async function renameIfFirst(made: string, home: string): Promise<void> {
  try {
    await rename(made, home);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error;
  }
}

async function readRecord(home: string): Promise<ImageRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(home, 'image.json'), 'utf8')) as ImageRecord;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function requireAmd64(): void {
  if (process.arch === 'x64') return;
  throw new OperatorError(
    'demo-image-amd64-only',
    `the demo's image is made of Debian's packages for amd64, and this machine is ${process.arch}`,
    'boot an image of your own with --image FILE',
  );
}
