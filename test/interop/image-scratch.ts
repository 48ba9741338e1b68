/** A directory with a raw disk, a secret and an empty directory to fetch into, for the tests of image-source with real QEMU. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FetchOptions, fetchImage } from '@bootswarm/image-source';
import { OperatorError, Random } from '@bootswarm/stdx';
import { expect } from 'vitest';

export const MIB = 1024 * 1024;
export const DISK_LENGTH = 24 * MIB;
const SECRET = 'root:$6$never-to-be-published';

export class ImageScratch {
  readonly path = mkdtempSync(join(tmpdir(), 'image-source-interop-'));
  /** Where images are fetched to. */
  readonly out = join(this.path, 'out');
  /** A raw disk with data, holes and, at 8 MiB, 2 MiB of zeros that are no hole. */
  readonly disk = join(this.path, 'disk.raw');
  /** What no image may reveal. */
  readonly secret = join(this.path, 'secret');

  constructor() {
    mkdirSync(this.out);
    writeFileSync(this.secret, SECRET.padEnd(MIB, SECRET));
    const file = openSync(this.disk, 'w');
    const random = new Random(5);
    const noise = Uint8Array.from({ length: 3 * MIB }, () => random.uint32() & 0xff);
    writeSync(file, noise, 0, noise.length, 0);
    writeSync(file, Buffer.alloc(2 * MIB), 0, 2 * MIB, 8 * MIB);
    writeSync(file, noise, 0, 1_000_000, 15 * MIB + 4096);
    writeSync(file, 'the end', DISK_LENGTH - 7);
    closeSync(file);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  fetch(source: string, options: Partial<FetchOptions> = {}) {
    return fetchImage(source, { directory: this.out, name: 'flat', ...options });
  }

  /** Fetches, expects an OperatorError and nothing left behind, and returns its code. */
  async failureOf(source: string, options: Partial<FetchOptions> = {}): Promise<string> {
    const error = await this.fetch(source, options).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OperatorError);
    expect(readdirSync(options.directory ?? this.out)).toEqual([]);
    return (error as OperatorError).code;
  }

  /** Between tests. */
  clear(): void {
    for (const name of readdirSync(this.out)) rmSync(join(this.out, name));
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}

export function qemuImg(...args: string[]): void {
  execFileSync('qemu-img', args, { stdio: 'pipe' });
}
