/** A disk with data, holes and short stretches of zeros, the same for the same seed; and a directory to keep it in. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';

export function diskOf(length: number, seed = 1): Buffer {
  const random = new Random(seed);
  const disk = Buffer.alloc(length);
  for (let offset = 0; offset < length; ) {
    const end = Math.min(length, offset + 1 + random.below(200_000));
    const isData = random.below(2) === 0;
    for (let at = offset; isData && at < end; at += 1) disk[at] = random.uint32() & 0xff;
    offset = end;
  }
  // Neither a signature of a format nor a hole.
  disk.fill(0xee, 0, Math.min(length, 512));
  return disk;
}

export class ScratchDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<ScratchDirectory> {
    return new ScratchDirectory(await mkdtemp(join(tmpdir(), 'image-source-')));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  names(): Promise<string[]> {
    return readdir(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}
