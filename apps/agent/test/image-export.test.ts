import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CachePieceStore } from '@bootswarm/piece-store';
import { ImageReader, SwarmHost } from '@bootswarm/swarm-driver';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ImageExport } from '../src/image-export.ts';
import { imageOf, PIECE_LENGTH } from './catalogue-server.ts';

const PATTERNS = [
  [false],
  [true, false],
  [false, true],
  [true, true, true],
  [false, false, true, true, false, true, false, false, false, true, true],
];

let directory: string;
let host: SwarmHost;
const stores: CachePieceStore[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'image-export-'));
  host = new SwarmHost({
    listen: { host: '127.0.0.1', port: 0 },
    self: { kind: 'ours', node: 'n', zone: 'z', rack: 'r', isOrigin: false },
    foreignPeersAllowed: false,
    onEvent: () => {},
    onMistake: (error) => {
      throw error;
    },
  });
});

afterAll(async () => {
  await host.close();
  for (const store of stores) await store.close();
  rmSync(directory, { recursive: true });
});

async function exportOf(zeros: readonly boolean[]): Promise<ImageExport> {
  const { metainfo, layer, id } = imageOf(zeros.join(), zeros);
  const store = await CachePieceStore.open({
    directory: mkdtempSync(join(directory, 'cache-')),
    ...{ metainfo, layer, onEvent: () => {} },
  });
  stores.push(store);
  const driver = host.open({ metainfo, layer, store });
  return new ImageExport(id, new ImageReader(driver));
}

describe.each(PATTERNS.map((zeros) => ({ zeros })))('extents of pieces $zeros', ({ zeros }) => {
  let found: ImageExport;
  let length: number;

  beforeAll(async () => {
    found = await exportOf(zeros);
    length = found.length;
  });

  test('are those that looking at every piece finds', () => {
    const isZero = (offset: number) => zeros[Math.floor(offset / PIECE_LENGTH)];
    const range = fc
      .tuple(fc.nat({ max: length - 1 }), fc.nat({ max: length - 1 }))
      .map(([a, b]) => ({ offset: Math.min(a, b), limit: Math.max(a, b) + 1 }));
    fc.assert(
      fc.property(range, ({ offset, limit }) => {
        expect(found.isZeroAt(offset)).toBe(isZero(offset));
        let end = offset;
        // From one border of a piece to the next, as what is in between is alike.
        while (end < limit && isZero(end) === isZero(offset)) {
          end = (Math.floor(end / PIECE_LENGTH) + 1) * PIECE_LENGTH;
        }
        expect(found.extentEnd(offset, limit)).toBe(Math.min(end, limit));
        expect(found.extentEnd(offset, limit)).toBeGreaterThan(offset);
      }),
    );
  });

  test('cover the whole image, each unlike the one before', () => {
    const kinds: boolean[] = [];
    for (let offset = 0; offset < length; offset = found.extentEnd(offset, length)) {
      kinds.push(found.isZeroAt(offset));
    }
    const runs = zeros.filter((isZero, index) => index === 0 || isZero !== zeros[index - 1]);
    expect(kinds).toEqual(runs);
  });
});

test('an export counts the connections that are open, and what is read through them', async () => {
  const found = await exportOf([true, true, false, true]);
  const sources = [found.open(), found.open()];
  expect(found.connections).toBe(2);
  expect(sources[0].readNow(10, Buffer.alloc(100))).toBe(true);
  expect(sources[1].readNow(PIECE_LENGTH, Buffer.alloc(28))).toBe(true);
  expect(found.read).toEqual({ cache: 0, peers: 0, origin: 0, zero: 128 });
  // The third piece is nowhere: it has to be waited for.
  expect(sources[0].readNow(2 * PIECE_LENGTH, Buffer.alloc(1))).toBe(false);
  expect(found.read.zero).toBe(128);
  for (const source of sources) source.close();
  expect(found.connections).toBe(0);
});
