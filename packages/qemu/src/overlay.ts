/**
 * A VM's overlay: a qcow2 file that takes the VM's writes and reads everything else through to an export. Made and probed with
 * qemu-img. Which VM it belongs to, and whether it may go, is the caller's to know.
 */
import { open, rename, rm } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import { assert, messageOf, OperatorError } from '@bootswarm/stdx';
import { type BackingReference, backingFilename } from './backing-reference.ts';
import { isDiskFull, isLockRefused, qemuImg, stderrOf } from './qemu-img.ts';

export interface OverlayOptions {
  /** Absolute. A file of that name is replaced. */
  readonly path: string;
  /** Bytes the VM sees, > 0; rounded up to whole sectors. Beyond the end of the export it reads zeros. */
  readonly virtualSize: number;
  readonly backing: BackingReference;
}

/** Ends the name of an overlay that is not complete. */
const PARTIAL_SUFFIX = '.partial';

const SECTOR_LENGTH = 512;

/**
 * Makes an overlay. The export need not exist yet. Throws OperatorError `tool-missing`, `disk-full` or `overlay-failed`, and
 * what backingFilename throws; nothing is then left at `path`.
 */
export async function createOverlay(options: OverlayOptions): Promise<void> {
  const { path, virtualSize, backing } = options;
  assert(isAbsolute(path), `overlay path ${path}`);
  assert(Number.isSafeInteger(virtualSize) && virtualSize > 0, `overlay size ${virtualSize}`);
  const size = Math.ceil(virtualSize / SECTOR_LENGTH) * SECTOR_LENGTH;
  const partialPath = path + PARTIAL_SUFFIX;
  const backingName = backingFilename(backing);
  try {
    // -F raw: a guest can write a qcow2 header to its first sector, so the format is never probed.
    // -u: the size is given, so nothing needs to be opened and no agent needs to run.
    const backed = ['-u', '-F', 'raw', '-b', backingName];
    await qemuImg(['create', '-q', '-f', 'qcow2', ...backed, partialPath, String(size)]);
    await sync(partialPath);
    await rename(partialPath, path);
    await sync(dirname(path));
  } catch (error) {
    await rm(partialPath, { force: true });
    throw creationError(path, error);
  }
}

/** Removes an overlay, and what is left of one that was never completed; neither need exist. */
export async function deleteOverlay(path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(path + PARTIAL_SUFFIX, { force: true });
}

/**
 * Whether a program, usually a running VM, holds the overlay open for writing: QEMU keeps a lock on it, and qemu-img respects
 * it. An overlay that is damaged or gone is in use by nobody. Throws OperatorError `tool-missing`.
 */
export async function isOverlayInUse(path: string): Promise<boolean> {
  try {
    await qemuImg(['info', '-f', 'qcow2', path]);
    return false;
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    // Killed because it hung: a disk that does not answer tells nothing, and a VM may be waiting for it too.
    const isKilled = (error as { killed?: unknown }).killed === true;
    return isKilled || isLockRefused(error);
  }
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

function creationError(path: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  const why = stderrOf(error).trim() || messageOf(error);
  if (isDiskFull(why)) {
    return new OperatorError(
      'disk-full',
      `no space left in ${dirname(path)} for an overlay`,
      'Free space there, or remove VMs that are no longer needed.',
      { cause: error },
    );
  }
  return new OperatorError(
    'overlay-failed',
    `cannot create the overlay ${path}: ${why}`,
    'Check the directory, its permissions and its file system.',
    { cause: error },
  );
}
