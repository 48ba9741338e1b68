/**
 * What the overlay of a VM that is not running reads through to: found out, changed, or done away with. QEMU's lock on the
 * overlay is held all the while, so no VM can be started on half of it, and the header changes last.
 */
import { open } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { assert, messageOf, OperatorError } from '@bootswarm/stdx';
import { type BackingReference, backingFilename } from './backing-reference.ts';
import { isDiskFull, isLockRefused, qemuImg, stderrOf } from './qemu-img.ts';

/** An export of an agent, or the absolute path of a raw file with the same content. */
export type Backing = BackingReference | { readonly imagePath: string };

/** As the header has it, of a running VM too; undefined: it has none. Throws OperatorError `overlay-failed`, `tool-missing`. */
export async function readBackingName(path: string): Promise<string | undefined> {
  try {
    // -U: without the lock, which a running VM holds.
    const text = await qemuImg(['info', '-U', '-f', 'qcow2', '--output=json', path]);
    const name = (JSON.parse(text) as Record<string, unknown>)['backing-filename'];
    return typeof name === 'string' ? name : undefined;
  } catch (error) {
    throw backingError('read', path, error);
  }
}

/**
 * Has it read through to `backing` from the next start of its VM on. Nothing is compared: the content must be the same. Throws
 * OperatorError `vm-running`, `overlay-flat` (it has no backing file) or `tool-missing`, and it is as it was; or `overlay-failed`
 * or `disk-full`, and nobody knows which of the two it reads.
 */
export async function rebaseOverlay(path: string, backing: Backing): Promise<void> {
  // What a flat overlay has no cluster for reads as zeros; a backing file would shine through.
  if ((await readBackingName(path)) === undefined) {
    throw new OperatorError(
      'overlay-flat',
      `the overlay ${path} has no backing file: it holds the whole disk`,
      'Nothing is left to be done.',
    );
  }
  const name = backingName(backing);
  try {
    // -u: neither the old backing file nor the new one is opened, and no agent needs to run.
    await qemuImg(['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', name, path]);
    await sync(path);
  } catch (error) {
    throw backingError('rebase', path, error);
  }
}

/**
 * Copies into it all that it reads from its backing file, which it then has no more. Takes as long as that takes; cut off by
 * `signal` or a crash it reads as before, from where it did, and may be begun again. Throws as rebaseOverlay(), or whatever
 * `signal` was aborted with.
 */
export async function flattenOverlay(path: string, signal?: AbortSignal): Promise<void> {
  try {
    await qemuImg(['rebase', '-f', 'qcow2', '-b', '', path], { timeoutMs: 0, signal });
    await sync(path);
  } catch (error) {
    signal?.throwIfAborted();
    throw backingError('flatten', path, error);
  }
}

/** As it stands in the header. */
export function backingName(backing: Backing): string {
  if (!('imagePath' in backing)) return backingFilename(backing);
  // One that does not begin with a slash could be taken for a protocol.
  assert(isAbsolute(backing.imagePath), `backing file ${backing.imagePath}`);
  return backing.imagePath;
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}

function backingError(verb: string, path: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  const why = stderrOf(error).trim() || messageOf(error);
  if (isLockRefused(error)) {
    return new OperatorError(
      'vm-running',
      `cannot ${verb} the overlay ${path}: a program, usually its VM, has it open`,
      'Shut the VM down first, or use bootswarm vm pivot, which moves it while it runs.',
      { cause: error },
    );
  }
  if (isDiskFull(why)) {
    return new OperatorError(
      'disk-full',
      `no space left to ${verb} the overlay ${path}`,
      'Free space there, then try again; the overlay is usable as it is.',
      { cause: error },
    );
  }
  return new OperatorError(
    'overlay-failed',
    `cannot ${verb} the overlay ${path}: ${why}`,
    'Check the file, its permissions and its file system.',
    { cause: error },
  );
}
