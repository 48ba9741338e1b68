/**
 * Which base images the disks of Nova's instances name, by looking for the names in the head of each disk: an overlay has its
 * backing file there. No format is parsed; a disk that holds such a name by chance only keeps a link. Also finds disks that are
 * links.
 */
import { open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@bootswarm/stdx';

export interface BaseUsers {
  /** Of the names asked for, those that some disk holds. */
  readonly used: ReadonlySet<string>;
  /** Disks that are symbolic links, and where they lead: what the Flat back end makes of a base image that is one. */
  readonly links: ReadonlyMap<string, string>;
}

/** The first cluster of a qcow2 file, in which the name of its backing file lies. */
const HEAD_BYTES = 64 * 1024;
/** disk, disk.local, disk.eph0, disk.config, … */
const DISK = /^disk(\.|$)/;

export async function findBaseUsers(
  instancesDir: string,
  baseName: string,
  names: readonly string[],
): Promise<BaseUsers> {
  const used = new Set<string>();
  const links = new Map<string, string>();
  const head = Buffer.allocUnsafe(HEAD_BYTES);
  for (const instance of await readdir(instancesDir, { withFileTypes: true })) {
    if (!instance.isDirectory() || instance.name === baseName) continue;
    const directory = join(instancesDir, instance.name);
    for (const disk of await disksIn(directory)) {
      if (!DISK.test(disk.name)) continue;
      const path = join(directory, disk.name);
      if (disk.isSymbolicLink()) links.set(path, await readlink(path).catch(() => ''));
      if (!disk.isFile()) continue;
      const length = await readHead(path, head);
      const text = head.subarray(0, length);
      for (const name of names) if (text.includes(name)) used.add(name);
    }
  }
  return { used, links };
}

/** An instance may be removed while we look. */
function disksIn(directory: string) {
  return readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
}

async function readHead(path: string, target: Buffer): Promise<number> {
  try {
    await using file = await open(path);
    const { bytesRead } = await file.read(target, 0, target.length, 0);
    return bytesRead;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw error;
  }
}
