import { appendFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { OperatorError } from '@bootswarm/stdx';
import { describe, expect, test } from 'vitest';
import { type FetchOptions, type FetchProgress, fetchImage } from '../src/fetch-image.ts';
import { diskOf, ScratchDirectory } from './disk.ts';
import { ImageServer, serveRanges, serveWhole } from './image-server.ts';
import { qcow2Head } from './qcow2-bytes.ts';

const DISK = diskOf(3_000_001);

/** Fetches, expects an OperatorError and nothing left in the directory, and returns the error's code. */
async function failureOf(source: string, options: Partial<FetchOptions> = {}): Promise<string> {
  await using directory = await ScratchDirectory.create();
  const error = await fetchImage(source, { directory: directory.path, ...options }).catch(
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OperatorError);
  expect(await directory.names()).toEqual([]);
  return (error as OperatorError).code;
}

describe('a local raw image', () => {
  test('is copied, whatever its length', async () => {
    await using directory = await ScratchDirectory.create();
    for (const length of [1, 511, 65_536, DISK.length]) {
      const source = directory.file('disk.img');
      await writeFile(source, DISK.subarray(0, length));
      const image = await fetchImage(source, { directory: directory.path, name: 'copy' });
      expect(image).toMatchObject({ length, isInPlace: false, sourceFormat: 'raw' });
      expect(image.rawPath).toBe(directory.file('copy.raw'));
      expect((await readFile(image.rawPath)).equals(DISK.subarray(0, length))).toBe(true);
      expect(await directory.names()).toEqual(['copy.raw', 'disk.img']);
    }
  });

  test('is copied without its zeros, and the extents cover all its data', async () => {
    await using directory = await ScratchDirectory.create();
    const source = directory.file('disk.img');
    await writeFile(source, Buffer.concat([DISK, Buffer.alloc(50_000_000), DISK]));
    const image = await fetchImage(source, { directory: directory.path });
    expect((await stat(image.rawPath)).blocks * 512).toBeLessThan(2 * DISK.length + 200_000);
    const copy = await readFile(image.rawPath);
    for (const { offset, length } of image.extents) copy.fill(0, offset, offset + length);
    expect(copy.equals(Buffer.alloc(copy.length))).toBe(true);
  });

  test('reports its progress up to its length', async () => {
    await using directory = await ScratchDirectory.create();
    await writeFile(directory.file('disk.img'), DISK);
    const seen: FetchProgress[] = [];
    await fetchImage(directory.file('disk.img'), {
      directory: directory.path,
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.at(-1)).toEqual({
      stage: 'fetch',
      bytesDone: DISK.length,
      bytesTotal: DISK.length,
    });
  });

  test('is left where it lies when asked to', async () => {
    await using directory = await ScratchDirectory.create();
    await using target = await ScratchDirectory.create();
    await writeFile(directory.file('disk.img'), DISK);
    const image = await fetchImage(directory.file('disk.img'), {
      directory: target.path,
      inPlace: true,
    });
    expect(image).toMatchObject({ rawPath: directory.file('disk.img'), isInPlace: true });
    expect(image.length).toBe(DISK.length);
    expect(await target.names()).toEqual([]);
  });

  test.each<[string, (path: string) => void]>([
    ['appended to', (path) => appendFileSync(path, 'x')],
    ['cut', (path) => truncateSync(path, 2_900_000)],
    ['cut to nothing', (path) => truncateSync(path, 0)],
    ['touched', (path) => utimesSync(path, 1, 1)],
    [
      'written to and its mtime set back',
      (path) => {
        const { atime, mtime } = statSync(path);
        writeFileSync(path, 'x', { flag: 'r+' });
        utimesSync(path, atime, mtime);
      },
    ],
  ])('that is %s while it is copied is refused', async (_, change) => {
    await using directory = await ScratchDirectory.create();
    const source = directory.file('disk.img');
    await writeFile(source, diskOf(4_000_000));
    let isChanged = false;
    const onProgress = () => {
      if (!isChanged) change(source);
      isChanged = true;
    };
    expect(await failureOf(source, { onProgress })).toBe('source-changed');
  });

  test('leaves nothing when the fetch is aborted, before or in the middle', async () => {
    await using directory = await ScratchDirectory.create();
    await using target = await ScratchDirectory.create();
    await writeFile(directory.file('disk.img'), DISK);
    const reason = new Error('enough');
    const before = AbortSignal.abort(reason);
    const fetch = (options: Partial<FetchOptions>) =>
      fetchImage(directory.file('disk.img'), { directory: target.path, ...options });
    await expect(fetch({ signal: before })).rejects.toBe(reason);
    const abort = new AbortController();
    const onProgress = () => abort.abort(reason);
    await expect(fetch({ signal: abort.signal, onProgress })).rejects.toBe(reason);
    expect(await target.names()).toEqual([]);
  });
});

describe('a source', () => {
  test.each([
    ['/tmp/no/such.raw', 'a /tmp of its own'],
    ['/var/tmp/no/such.raw', 'a /tmp of its own'],
    ['/dev/no-such-volume', 'PrivateDevices=no'],
    ['/srv/no/such.raw', /tracker\.$/],
  ])('at %s is told apart from one that the unit hides', async (path, told) => {
    await using target = await ScratchDirectory.create();
    await expect(fetchImage(path, { directory: target.path })).rejects.toMatchObject({
      code: 'source-not-found',
      hint: expect.stringMatching(told),
    });
  });

  test('that is no image is refused with its own code', async () => {
    await using directory = await ScratchDirectory.create();
    await mkdir(directory.file('folder'));
    await writeFile(directory.file('empty'), '');
    expect(await failureOf(directory.file('missing'))).toBe('source-not-found');
    expect(await failureOf(directory.file('empty/below'))).toBe('source-not-found');
    expect(await failureOf(directory.file('folder'))).toBe('source-not-a-file');
    expect(await failureOf('/dev/null')).toBe('source-not-a-file');
    expect(await failureOf(directory.file('empty'))).toBe('image-empty');
  });

  test.each(['ftp://host/disk', 'rbd://pool/disk', 'file:///etc/passwd', 'http://[', 'https://'])(
    'like %s is not supported',
    async (source) => {
      expect(await failureOf(source)).toBe('source-unsupported');
    },
  );

  test.each(['nbd:unix:/run/x', 'json:{"driver":"null-co"}', 'fat:/etc'])(
    'like %s is a path and nothing that QEMU would make of it',
    async (source) => {
      expect(await failureOf(source)).toBe('source-not-found');
    },
  );

  test('whose label and content differ is refused, both ways', async () => {
    await using directory = await ScratchDirectory.create();
    await writeFile(directory.file('disk.raw'), DISK);
    await writeFile(directory.file('disk.qcow2'), qcow2Head());
    expect(await failureOf(directory.file('disk.raw'), { format: 'qcow2' })).toBe(
      'format-mismatch',
    );
    expect(await failureOf(directory.file('disk.qcow2'), { format: 'raw' })).toBe(
      'format-mismatch',
    );
    const inPlace = { format: 'raw' as const, inPlace: true };
    expect(await failureOf(directory.file('disk.qcow2'), inPlace)).toBe('format-mismatch');
  });

  test('that cannot be served where it lies is refused, not copied', async () => {
    await using directory = await ScratchDirectory.create();
    await writeFile(directory.file('disk.qcow2'), qcow2Head());
    await using server = await ImageServer.start(serveRanges(DISK));
    const inPlace = { inPlace: true };
    expect(await failureOf(directory.file('disk.qcow2'), inPlace)).toBe('in-place-impossible');
    expect(await failureOf(server.url.href, inPlace)).toBe('in-place-impossible');
  });

  test('with a backing file is refused by its header, before any program reads it', async () => {
    await using directory = await ScratchDirectory.create();
    const source = directory.file('disk.qcow2');
    await writeFile(source, qcow2Head({ backingFileOffset: 512n, backingFileSize: 11 }));
    const { PATH } = process.env;
    process.env.PATH = directory.path;
    try {
      expect(await failureOf(source)).toBe('qcow2-backing-file');
      await writeFile(source, Buffer.concat([qcow2Head(), Buffer.alloc(200_000)]));
      expect(await failureOf(source)).toBe('tool-missing');
    } finally {
      process.env.PATH = PATH;
    }
  });
});

describe('an image on a web server', () => {
  test.each([
    ['ranges', serveRanges(DISK)],
    ['the whole only', serveWhole(DISK)],
  ])('that serves %s is downloaded', async (_, handler) => {
    await using directory = await ScratchDirectory.create();
    await using server = await ImageServer.start(handler);
    const image = await fetchImage(server.url.href, { directory: directory.path, name: 'web' });
    expect(image).toMatchObject({ length: DISK.length, isInPlace: false, sourceFormat: 'raw' });
    expect((await readFile(directory.file('web.raw'))).equals(DISK)).toBe(true);
    expect(await directory.names()).toEqual(['web.raw']);
  });

  test('is refused by its first bytes, and nothing is left', async () => {
    const vmdk = Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(40 * 1024 * 1024)]);
    await using server = await ImageServer.start(serveRanges(vmdk));
    expect(await failureOf(server.url.href)).toBe('format-unsupported');
    expect(server.ranges).toHaveLength(1);
    expect(await failureOf(server.url.href, { format: 'raw' })).toBe('format-mismatch');
  });

  test('that is qcow2 is inspected as a local one is', async () => {
    const evil = qcow2Head({ backingFileOffset: 512n, backingFileSize: 11 });
    await using server = await ImageServer.start(serveRanges(evil));
    expect(await failureOf(server.url.href)).toBe('qcow2-backing-file');
  });

  test('leaves nothing when the fetch is aborted in the middle', async () => {
    await using directory = await ScratchDirectory.create();
    await using server = await ImageServer.start(serveWhole(diskOf(8_000_000)));
    const abort = new AbortController();
    const reason = new Error('enough');
    const fetching = fetchImage(server.url.href, {
      directory: directory.path,
      signal: abort.signal,
      onProgress: ({ bytesDone }) => bytesDone > 2_000_000 && abort.abort(reason),
    });
    await expect(fetching).rejects.toBe(reason);
    expect(await directory.names()).toEqual([]);
  });
});
