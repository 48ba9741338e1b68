import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PieceThread, type WriteAnswer } from '../src/piece-thread.ts';

const thread = new PieceThread();

function write(
  fd: number,
  pieces: readonly Uint8Array[],
  positions: readonly number[],
): Promise<WriteAnswer> {
  return new Promise((resolve) => {
    thread.ask({ type: 'write', fd, pieces, positions }, resolve);
  });
}

test('pieces are written to their places, those in shared memory and others', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'bootswarm-thread-'));
  const path = join(directory, 'file');
  const fd = openSync(path, 'w');
  const shared = Buffer.from(new SharedArrayBuffer(4)).fill('s');
  const answers = await Promise.all([
    write(fd, [shared, Buffer.from('own')], [8, 0]),
    write(fd, [Buffer.from('more')], [4]),
  ]);
  closeSync(fd);
  expect(answers).toEqual([{ writtenCount: 2 }, { writtenCount: 1 }]);
  expect(readFileSync(path, 'latin1')).toBe('own\0moressss');
  rmSync(directory, { recursive: true });
});

test('a write that fails is told with its errno and what was written before, and others go on', async () => {
  const full = openSync('/dev/full', 'w');
  const sink = openSync('/dev/null', 'w');
  const piece = Buffer.alloc(16);
  const failed = await write(full, [piece, piece], [0, 16]);
  expect(failed).toMatchObject({ writtenCount: 0, failure: { code: 'ENOSPC' } });
  expect(await write(sink, [piece, piece], [0, 16])).toEqual({ writtenCount: 2 });
  closeSync(full);
  closeSync(sink);
});
