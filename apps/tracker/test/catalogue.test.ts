import { cpSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInfo, generatePublisherKey, type Metainfo, signMetainfo } from '@bootswarm/metainfo';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Catalogue } from '../src/catalogue.ts';
import { DataDir } from '../src/data-dir.ts';
import { TrackerFixture } from './tracker-fixture.ts';

const log = pino({ level: 'silent' });

let fixture: TrackerFixture;
let dataDir: DataDir;
let catalogue: Catalogue;
/** Images with the names a and b, and one that has the name of a but is not in the catalogue. */
let a: string;
let b: string;
let rivalOfA: string;

beforeEach(async () => {
  fixture = await new TrackerFixture().start();
  rivalOfA = await fixture.published({ source: fixture.image('rival', [3]), name: 'a' });
  cpSync(imagePath(rivalOfA), join(fixture.path, 'rival-directory'), { recursive: true });
  await fixture.withdraw(rivalOfA);
  a = await fixture.published({ source: fixture.image('x', [1]), name: 'a' });
  b = await fixture.published({ source: fixture.image('y', [2]), name: 'b' });
  await fixture.tracker.close();
  dataDir = new DataDir(fixture.dataDir);
  catalogue = await Catalogue.open(dataDir, log);
});

afterEach(async () => {
  dataDir.unlock();
  await fixture.end();
});

function imagePath(id: string): string {
  return join(fixture.dataDir, 'images', id);
}

/** A staged copy of a directory. */
async function staged(directory: string): Promise<string> {
  const path = await catalogue.stage();
  cpSync(directory, path, { recursive: true });
  return path;
}

/** Ids are hashes of names too: among some 300 names two have ids of the same first four digits. */
function twoThatBeginAlike(): [Metainfo, Metainfo] {
  const seen = new Map<string, Metainfo>();
  for (let index = 0; ; index += 1) {
    const piecesRoot = new Uint8Array(32);
    const metainfo = createInfo({ name: `n${index}`, length: 1, pieceLength: 65_536, piecesRoot });
    const prefix = metainfo.imageId.slice(0, 4);
    const alike = seen.get(prefix);
    if (alike !== undefined) return [alike, metainfo];
    seen.set(prefix, metainfo);
  }
}

/** As much of an image as the catalogue reads. */
async function stagedOf(metainfo: Metainfo): Promise<string> {
  const { imageId: id, name, length } = metainfo;
  const path = await catalogue.stage();
  writeFileSync(join(path, 'metainfo'), signMetainfo(metainfo, generatePublisherKey()));
  const record = { version: 1, image: { id, name, length }, rawPath: 'disk.raw' };
  writeFileSync(join(path, 'image.json'), JSON.stringify(record));
  return path;
}

describe('finding', () => {
  test('takes an id, a name and a prefix that only one id has', () => {
    for (const key of [a, 'a', a.slice(0, 4)]) expect(catalogue.find(key).image.id).toBe(a);
  });

  test('says which ids an ambiguous prefix may mean', async () => {
    const [one, other] = twoThatBeginAlike();
    for (const metainfo of [one, other])
      await catalogue.add(await stagedOf(metainfo), metainfo.imageId);
    const prefix = one.imageId.slice(0, 4);
    expect(() => catalogue.find(prefix)).toThrow(
      expect.objectContaining({
        code: 'image-ambiguous',
        hint: expect.stringContaining(one.imageId.slice(0, 12)),
      }),
    );
    expect(catalogue.find(other.imageId.slice(0, 12)).image.id).toBe(other.imageId);
    expect(() => catalogue.find(prefix.slice(0, 3))).toThrow(
      expect.objectContaining({ code: 'image-not-found' }),
    );
  });

  test('finds nothing under what is neither', () => {
    for (const key of ['', 'A', 'c', '..', '/', '0'.repeat(40), '0'.repeat(41), '__proto__']) {
      expect(() => catalogue.find(key)).toThrow(
        expect.objectContaining({ code: 'image-not-found' }),
      );
    }
  });
});

describe('adding', () => {
  test('twice at once adds once', async () => {
    const copies = [await staged(imagePath(a)), await staged(imagePath(a))];
    await catalogue.withdraw(a);
    const results = await Promise.all(copies.map((copy) => catalogue.add(copy, a)));
    expect(results.map(({ alreadyThere }) => alreadyThere)).toEqual([false, true]);
    // What was not needed is left to whoever staged it.
    expect(copies.map((copy) => existsSync(copy))).toEqual([false, true]);
  });

  test('under a name that is taken leaves both as they are', async () => {
    const rival = await staged(join(fixture.path, 'rival-directory'));
    await expect(catalogue.add(rival, rivalOfA)).rejects.toMatchObject({ code: 'name-taken' });
    expect(catalogue.find('a').image.id).toBe(a);
    expect(readdirSync(join(fixture.dataDir, 'images')).sort()).toEqual([a, b].sort());
    expect(existsSync(rival)).toBe(true);
  });

  test('while the image is being withdrawn adds it when it is gone', async () => {
    const copy = await staged(imagePath(a));
    const [, added] = await Promise.all([catalogue.withdraw(a), catalogue.add(copy, a)]);
    expect(added).toMatchObject({ alreadyThere: false, image: { id: a } });
    expect(existsSync(join(imagePath(a), 'image.json'))).toBe(true);
  });
});

test('withdrawing what is not there is an error', async () => {
  await catalogue.withdraw(a);
  await expect(catalogue.withdraw(a)).rejects.toMatchObject({ code: 'image-not-found' });
  expect(readdirSync(join(fixture.dataDir, 'staging'))).toEqual([]);
});
