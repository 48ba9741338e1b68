import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOverlay, deleteOverlay } from '../src/overlay.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'qemu-overlay-'));
});
afterAll(() => rm(directory, { recursive: true }));

test('without qemu-img an overlay is refused with what to install, and nothing is left', async () => {
  const { PATH } = process.env;
  process.env.PATH = directory;
  try {
    const backing = { socketPath: '/run/nbd.sock', exportName: 'x' };
    const created = createOverlay({ path: join(directory, 'vm.qcow2'), virtualSize: 512, backing });
    await expect(created).rejects.toMatchObject({ code: 'tool-missing' });
    expect(await readdir(directory)).toEqual([]);
  } finally {
    process.env.PATH = PATH;
  }
});

test('deleting removes the overlay and what was never completed, if they exist', async () => {
  const path = join(directory, 'vm.qcow2');
  await writeFile(path, 'x');
  await writeFile(`${path}.partial`, 'x');
  await deleteOverlay(path);
  await deleteOverlay(path);
  expect(await readdir(directory)).toEqual([]);
});
