/** Copies onto disks that are full, forbidden or cannot share blocks: each says so, and none leaves what nobody can use. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtInSchemes, type CopyResult, copy } from '@bootswarm/copy';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CAN_MOUNT, SmallDisk } from './small-disk.ts';

const MIB = 1024 * 1024;
/** Less than a commit: nothing of it is recorded before a second has passed, or the copy fails. */
const CONTENT = randomBytes(12 * MIB);

let directory: string;
let from: string;
let undo: (() => void)[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'copy-disk-'));
  from = join(directory, 'from.raw');
  writeFileSync(from, CONTENT);
  undo = [];
});

afterEach(() => {
  for (const step of undo.reverse()) step();
  rmSync(directory, { recursive: true });
});

function smallDisk(mebibytes: number): SmallDisk {
  const disk = new SmallDisk(join(directory, 'disk'), mebibytes);
  undo.push(() => disk.unmount());
  return disk;
}

const run = (to: string, force = false): Promise<CopyResult> =>
  copy(from, to, { schemes: builtInSchemes(), force }).wait();

const namesIn = (path: string): string[] =>
  readdirSync(path).filter((name) => !name.startsWith('filler'));

describe.runIf(CAN_MOUNT)('a copy', () => {
  test('says that the disk is full and where, and goes on from there once there is space', async () => {
    const disk = smallDisk(8);
    const to = join(disk.path, 'to.raw');
    await expect(run(to)).rejects.toMatchObject({
      code: 'disk-full',
      message: `no space left for ${to}`,
      hint: expect.stringMatching(/^Free space there, then run the same copy again/),
    });
    expect(namesIn(disk.path)).toEqual(['.to.raw.bootswarm-copy']);
    disk.resize(32);
    expect((await run(to)).bytesKept).toBeGreaterThan(0);
    expect(readFileSync(to).equals(CONTENT)).toBe(true);
    expect(namesIn(disk.path)).toEqual(['to.raw']);
  });

  test.each([
    ['byte', (disk: SmallDisk) => disk.fill()],
    ['page for the journal', (disk: SmallDisk) => disk.fill(4_096)],
    ['room for one unit', (disk: SmallDisk) => disk.fill(65_536)],
    ['inode', (disk: SmallDisk) => disk.fillInodes()],
  ])('leaves nothing where there was no %s left', async (_, use) => {
    const disk = smallDisk(2);
    use(disk);
    const to = join(disk.path, 'to.raw');
    await expect(run(to)).rejects.toMatchObject({
      code: 'disk-full',
      message: expect.stringContaining(to),
    });
    expect(namesIn(disk.path)).toEqual([]);
  });

  test('says that it may not write to a read-only directory', async () => {
    const disk = smallDisk(32);
    execFileSync('mount', ['-o', 'remount,ro', disk.path]);
    const to = join(disk.path, 'to.raw');
    await expect(run(to)).rejects.toMatchObject({
      code: 'target-forbidden',
      message: expect.stringMatching(new RegExp(`^may not write ${to}: EROFS`)),
      hint: 'Run this as a user who may write to that directory, or choose another.',
    });
    expect(namesIn(disk.path)).toEqual([]);
  });

  test('says that it cannot replace a file that is mounted on, and has it ready for later', async () => {
    const to = join(directory, 'to', 'to.raw');
    mkdirSync(join(directory, 'to'));
    writeFileSync(to, 'precious');
    execFileSync('mount', ['--bind', to, to]);
    undo.push(() => execFileSync('umount', [to]));
    await expect(run(to, true)).rejects.toMatchObject({
      code: 'target-unwritable',
      message: expect.stringMatching(new RegExp(`^cannot write ${to}: EBUSY`)),
      hint: expect.stringContaining('run the same copy again'),
    });
    expect(readFileSync(to, 'utf8')).toBe('precious');
    undo.pop()!();
    expect(await run(to, true)).toMatchObject({ bytesKept: CONTENT.length });
    expect(namesIn(join(directory, 'to'))).toEqual(['to.raw']);
  });

  test('copies bytes where the file system cannot share them', async () => {
    const disk = smallDisk(32);
    const near = join(disk.path, 'near.raw');
    // From another file system, and within one that shares nothing.
    expect(await run(near)).toMatchObject({ bytesKept: 0 });
    from = near;
    expect(await run(join(disk.path, 'to.raw'))).toMatchObject({ bytesKept: 0 });
    expect(readFileSync(join(disk.path, 'to.raw')).equals(CONTENT)).toBe(true);
    expect(namesIn(disk.path)).toEqual(['near.raw', 'to.raw']);
  });
});
