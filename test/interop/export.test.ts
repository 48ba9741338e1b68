import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, run, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const LENGTH = 24 * MIB + 512;

let cluster: Cluster;
let source: string;
let image: string;
let uris: string[];

beforeAll(async () => {
  cluster = await Cluster.start(2);
  source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  image = await cluster.publish(source, 'test');
  uris = await Promise.all(cluster.agents.map(async (agent) => (await agent.attach('test')).uri));
  // Until both know the same members, both may fetch a piece from the origin.
  await until('the nodes know each other and the origin', async () => {
    const all = await Promise.all(cluster.agents.map((agent) => agent.status()));
    return all.every(({ images }) => images[0].peers === 2);
  });
});

afterAll(() => cluster.stop());

describe('the export of a published image', () => {
  test('is copied byte for byte by nbdcopy on two nodes at once, the origin sending each piece once', async () => {
    const copies = await Promise.all(
      uris.map(async (uri, index) => {
        const copy = join(cluster.directory, `copy${index}.raw`);
        expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
        return copy;
      }),
    );
    for (const copy of copies) {
      expect(statSync(copy).size).toBe(LENGTH);
      expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
    }
    const { origin } = await cluster.swarm(image);
    expect(origin.piecesSent).toBe(await cluster.touchedPieces(image));
  });

  test('is read again by a second guest of a node without a byte from the network', async () => {
    const [agent] = cluster.agents;
    const received = async (): Promise<number> => {
      const [{ bytesFromPeers, bytesFromOrigin }] = (await agent.status()).images;
      return bytesFromPeers + bytesFromOrigin;
    };
    const before = await received();
    const copy = join(cluster.directory, 'again.raw');
    expect(await run('nbdcopy', [uris[0], copy])).toMatchObject({ code: 0 });
    expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
    expect(before).toBeGreaterThan(0);
    expect(await received()).toBe(before);
  });

  test.each([0, 1])('is identical to the source for qemu-img compare (node %i)', async (node) => {
    const compared = await run('qemu-img', [
      'compare',
      '-f',
      'raw',
      '-F',
      'raw',
      source,
      uris[node],
    ]);
    expect(compared).toMatchObject({ code: 0, stdout: expect.stringContaining('identical') });
  });

  test('reads at odd offsets are right for qemu-io', async () => {
    const reads = [
      'read -v 1 511',
      'read -v 65535 3',
      `read -v ${3 * MIB - 1} 4097`,
      `read -v ${LENGTH - 5} 5`,
    ];
    const commands = reads.flatMap((read) => ['-c', read]);
    const [fromExport, fromSource] = await Promise.all(
      [uris[0], source].map((path) => run('qemu-io', ['-r', '-f', 'raw', ...commands, path])),
    );
    expect(fromExport.code).toBe(0);
    const bytesOf = (text: string): string =>
      text
        .split('\n')
        .filter((line) => /^[0-9a-f]{8}:/.test(line))
        .join('\n');
    expect(bytesOf(fromExport.stdout)).toBe(bytesOf(fromSource.stdout));
    expect(bytesOf(fromExport.stdout).length).toBeGreaterThan(1_000);
  });

  test('shows holes as holes to nbdinfo --map', async () => {
    const { stdout } = await run('nbdinfo', ['--map', '--json', uris[0]]);
    const extents = JSON.parse(stdout) as { offset: number; length: number; type: number }[];
    const holes = extents.filter(({ type }) => type === 3);
    expect(holes.map(({ offset, length }) => [offset, length])).toEqual(
      [3, 7, 11, 15, 19, 23].map((index) => [index * MIB, MIB]),
    );
    expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(LENGTH);
  });
});
