import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  lchown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CacheDirectory } from '../src/cache-directory.ts';

const IMAGE_ID = 'a'.repeat(40);
const OTHER_ID = 'b'.repeat(40);

let parent: string;
let path: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'bootswarm-cache-'));
  path = join(parent, 'cache');
});

afterEach(() => rm(parent, { recursive: true }));

/** A process that holds the cache directory until it is killed. */
async function holder(): Promise<ChildProcess> {
  const module = new URL('../src/cache-directory.ts', import.meta.url).href;
  const script = `
    const { CacheDirectory } = await import(${JSON.stringify(module)});
    await CacheDirectory.open(${JSON.stringify(path)});
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout!, 'data');
  return child;
}

describe('the lock', () => {
  test('a second agent is told who has the directory and what to do', async () => {
    const child = await holder();
    await expect(CacheDirectory.open(path)).rejects.toMatchObject({
      code: 'cache-locked',
      message: `the cache ${path} is in use by process ${child.pid}`,
      hint: expect.stringContaining('Stop that agent'),
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    // Nothing to clear away after kill -9, though its files are still there.
    expect((await readdir(path)).sort()).toEqual(['lock', 'lock.pid', 'version']);
    (await CacheDirectory.open(path)).close();
  });

  test('is held once within a process, and free again after close', async () => {
    const directory = await CacheDirectory.open(path);
    await expect(CacheDirectory.open(path)).rejects.toMatchObject({ code: 'cache-locked' });
    // The refused attempt has not taken the lock away from the holder.
    await expect(CacheDirectory.open(path)).rejects.toMatchObject({ code: 'cache-locked' });
    directory.close();
    (await CacheDirectory.open(path)).close();
  });

  test('of ten that start at the same moment exactly one gets it', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => CacheDirectory.open(path)),
    );
    const opened = results.filter((result) => result.status === 'fulfilled');
    expect(opened).toHaveLength(1);
    opened[0].value.close();
  });

  test('cannot be taken by those who may only read the directory', async () => {
    const directory = await CacheDirectory.open(path);
    expect((await stat(join(path, 'lock'))).mode & 0o777).toBe(0o600);
    directory.close();
  });

  test('is the same through a symbolic link', async () => {
    const directory = await CacheDirectory.open(path);
    await symlink(path, join(parent, 'link'));
    await expect(CacheDirectory.open(join(parent, 'link'))).rejects.toMatchObject({
      code: 'cache-locked',
    });
    directory.close();
  });
});

describe('the directory', () => {
  test('is refused when every user may write to it', async () => {
    await mkdir(path);
    await chmod(path, 0o777);
    await expect(CacheDirectory.open(path)).rejects.toMatchObject({
      code: 'cache-unsafe',
      message: expect.stringContaining('every user may write'),
    });
  });

  test.runIf(process.getuid?.() === 0)(
    'is refused when it, or a link to it, is of another user',
    async () => {
      await mkdir(path);
      await chown(path, 1_234, 1_234);
      const unsafe = { code: 'cache-unsafe', message: expect.stringContaining('user 1234') };
      await expect(CacheDirectory.open(path)).rejects.toMatchObject(unsafe);
      await chown(path, 0, 0);
      await symlink(path, join(parent, 'link'));
      (await CacheDirectory.open(join(parent, 'link'))).close();
      await lchown(join(parent, 'link'), 1_234, 1_234);
      await expect(CacheDirectory.open(join(parent, 'link'))).rejects.toMatchObject(unsafe);
    },
  );

  test('is refused, untouched, when another version wrote it', async () => {
    (await CacheDirectory.open(path)).close();
    expect(await readFile(join(path, 'version'), 'utf8')).toBe('bootswarm-cache 1\n');
    await writeFile(join(path, 'version'), 'bootswarm-cache 2\n');
    await mkdir(join(path, `${IMAGE_ID}.removed`));
    await expect(CacheDirectory.open(path)).rejects.toMatchObject({ code: 'cache-version' });
    expect(await readdir(path)).toContain(`${IMAGE_ID}.removed`);
  });

  test('is refused with the reason when it cannot be made', async () => {
    await writeFile(path, 'a file');
    await expect(CacheDirectory.open(path)).rejects.toMatchObject({
      code: 'cache-unusable',
      message: expect.stringContaining('EEXIST'),
    });
  });

  test('loses the leftovers of an interrupted run, and nothing that is not ours', async () => {
    const directory = await CacheDirectory.open(path);
    await directory.writeFile(IMAGE_ID, 'metainfo', Buffer.from('m'));
    directory.close();
    await mkdir(join(path, `${OTHER_ID}.removed`));
    await writeFile(join(path, 'version.0123abcd.tmp'), '');
    await writeFile(join(path, IMAGE_ID, 'metainfo.0123abcd.tmp'), '');
    await writeFile(join(path, 'notes.tmp'), 'mine');
    (await CacheDirectory.open(path)).close();
    expect((await readdir(path)).sort()).toEqual([IMAGE_ID, 'lock', 'notes.tmp', 'version']);
    expect(await readdir(join(path, IMAGE_ID))).toEqual(['metainfo']);
  });
});

describe('images', () => {
  test('are listed once they have a metainfo, with the space they take', async () => {
    const directory = await CacheDirectory.open(path);
    await directory.openImage(OTHER_ID);
    await directory.writeFile(IMAGE_ID, 'metainfo', Buffer.alloc(10));
    await writeFile(join(path, IMAGE_ID, 'cache.raw'), Buffer.alloc(100_000, 1));
    await mkdir(join(path, 'lost+found'));
    const images = await directory.list();
    expect(images).toMatchObject([{ imageId: IMAGE_ID, directory: join(path, IMAGE_ID) }]);
    expect(images[0].diskBytes).toBeGreaterThanOrEqual(100_000);
    expect(images[0].diskBytes).toBeLessThan(200_000);
    directory.close();
  });

  test('remember over restarts when they were last used', async () => {
    const directory = await CacheDirectory.open(path);
    for (const imageId of [IMAGE_ID, OTHER_ID]) {
      await directory.writeFile(imageId, 'metainfo', Buffer.alloc(10));
      await utimes(join(path, imageId, 'metainfo'), 1_000, 1_000);
    }
    const before = Date.now() - 1_000;
    await directory.markUsed(OTHER_ID);
    directory.close();
    const second = await CacheDirectory.open(path);
    const [unused, used] = await second.list();
    expect(unused.lastUsedAt).toBe(1_000_000);
    expect(used.lastUsedAt).toBeGreaterThan(before);
    second.close();
  });

  test('keep small files whole, and read them back up to a limit', async () => {
    const directory = await CacheDirectory.open(path);
    expect(await directory.readFile(IMAGE_ID, 'metainfo', 100)).toBeUndefined();
    await directory.writeFile(IMAGE_ID, 'metainfo', Buffer.from('first'));
    await directory.writeFile(IMAGE_ID, 'metainfo', Buffer.from('second'));
    expect(await directory.readFile(IMAGE_ID, 'metainfo', 100)).toEqual(Buffer.from('second'));
    expect(await directory.readFile(IMAGE_ID, 'metainfo', 5)).toBeUndefined();
    expect(await readdir(join(path, IMAGE_ID))).toEqual(['metainfo']);
    directory.close();
  });

  test('a file that cannot be replaced stays as it was', async () => {
    const directory = await CacheDirectory.open(path);
    await mkdir(join(path, IMAGE_ID, 'metainfo', 'occupied'), { recursive: true });
    await expect(directory.writeFile(IMAGE_ID, 'metainfo', Buffer.from('x'))).rejects.toThrow();
    expect(await readdir(join(path, IMAGE_ID))).toEqual(['metainfo']);
    directory.close();
  });

  test('are removed whole, and removing what is not there is no error', async () => {
    const directory = await CacheDirectory.open(path);
    await directory.writeFile(IMAGE_ID, 'metainfo', Buffer.from('x'));
    await directory.remove(IMAGE_ID);
    await directory.remove(IMAGE_ID);
    expect(await directory.list()).toEqual([]);
    expect(existsSync(join(path, IMAGE_ID))).toBe(false);
    directory.close();
  });

  test('have names that cannot lead out of the directory', async () => {
    const directory = await CacheDirectory.open(path);
    for (const imageId of ['..', '', `../${IMAGE_ID}`, IMAGE_ID.toUpperCase(), `${IMAGE_ID}0`]) {
      await expect(directory.openImage(imageId)).rejects.toThrow('image id');
      await expect(directory.remove(imageId)).rejects.toThrow('image id');
    }
    for (const name of ['cache.raw', 'have.bits', '../x', '']) {
      await expect(directory.writeFile(IMAGE_ID, name, Buffer.alloc(0))).rejects.toThrow('name');
    }
    directory.close();
  });
});
