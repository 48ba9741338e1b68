/**
 * What a client can get wrong, by libnbd with its checks off: after libnbd's own errors-server tests, whose servers must answer
 * each with an error and go on. Its errors-client tests are about what libnbd itself refuses.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NbdListener, type NbdListenerEvent } from '../../apps/agent/src/nbd/nbd-listener.ts';
import { directoryOf, FileExport, imageBytes } from '../../apps/agent/test/nbd/file-export.ts';

const MIB = 1024 * 1024;
const image = imageBytes(80 * 16, 0);
let directory: string;
let disk: FileExport;
let listener: NbdListener;
let events: NbdListenerEvent[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'bootswarm-nbd-'));
  const path = join(directory, 'image.raw');
  writeFileSync(path, image);
  disk = new FileExport('disk', path, image);
  listener = await NbdListener.listen(
    { type: 'path', path: join(directory, 'nbd.sock') },
    { directory: directoryOf(disk), onEvent: (event) => events.push(event) },
  );
});

afterAll(async () => {
  await listener.close();
  disk.destroy();
  rmSync(directory, { recursive: true });
});

/** Runs it with libnbd's checks off, and `tell`, which prints what a call comes to; returns the lines it prints. */
async function nbdsh(connected: boolean, program: string): Promise<string[]> {
  events = [];
  const uri = `nbd+unix:///disk?socket=${join(directory, 'nbd.sock')}`;
  const source = [
    'import nbd',
    'h = nbd.NBD()',
    'h.set_strict_mode(0)',
    `uri = ${JSON.stringify(uri)}`,
    'def tell(call):',
    '  try: print("ok", call())',
    '  except nbd.Error as error: print(error.errno)',
    ...(connected
      ? ['h.add_meta_context("base:allocation")', 'h.connect_uri(uri)']
      : ['h.set_opt_mode(True)', 'h.connect_uri(uri)']),
    program,
  ].join('\n');
  const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', source], {
    timeout: 60_000,
  });
  // Whoever leaves without taking the last reply has abandoned it; a client that is cut off has failed.
  for (const event of events) expect(event).not.toMatchObject({ reason: 'failed' });
  return stdout.trimEnd().split('\n');
}

/** The bytes that a read after all that must bring, to show that the connection lives. */
const AFTER = 'tell(lambda: h.pread(8, 1).hex())';
const ALIVE = `ok ${image.subarray(1, 9).toString('hex')}`;

const CASES: [string, string, string][] = [
  ['reads 32 MiB', `len(h.pread(${32 * MIB}, 5))`, `ok ${32 * MIB}`],
  ['reads more than 32 MiB', `h.pread(${32 * MIB + 1}, 0)`, 'EINVAL'],
  ['reads 64 MiB', `h.pread(${64 * MIB}, 0)`, 'EINVAL'],
  ['writes 64 MiB', `h.pwrite(bytearray(${64 * MIB}), 0)`, 'EPERM'],
  ['reads where no block begins', 'h.pread(3, 511).hex()', `ok ${hexOf(511, 3)}`],
  ['reads nothing', 'h.pread(0, 0)', 'EINVAL'],
  ['writes nothing', 'h.pwrite(b"", 0)', 'EPERM'],
  ['trims nothing', 'h.trim(0, 0)', 'EPERM'],
  ['asks for the status of nothing', 'h.block_status(0, 0, lambda *_: 0)', 'EINVAL'],
  ['prefetches nothing', 'h.cache(0, 0)', 'EINVAL'],
  ['reads past the end', `h.pread(512, ${80 * MIB})`, 'EINVAL'],
  ['reads across the end', `h.pread(512, ${80 * MIB - 511})`, 'EINVAL'],
  ['reads at 2^63 - 1', 'h.pread(512, 2**63 - 1)', 'EINVAL'],
  ['writes past the end', `h.pwrite(bytes(512), ${80 * MIB})`, 'EPERM'],
  ['asks for the status past the end', `h.block_status(512, ${80 * MIB}, lambda *_: 0)`, 'EINVAL'],
  ['sets a flag nobody knows', 'h.pread(512, 0, 0x8000)', 'EINVAL'],
  ['reads with FUA', 'h.pread(512, 0, nbd.CMD_FLAG_FUA)', 'EINVAL'],
  ['flushes with FUA', 'h.flush(nbd.CMD_FLAG_FUA)', 'EINVAL'],
  ['prefetches with DF', 'h.cache(512, 0, nbd.CMD_FLAG_DF)', 'EINVAL'],
  ['writes, which is not advertised', 'h.pwrite(bytes(512), 0)', 'EPERM'],
  ['trims, which is not advertised', 'h.trim(512, 0)', 'EPERM'],
  ['writes zeroes, which is not advertised', 'h.zero(512, 0, nbd.CMD_FLAG_FAST_ZERO)', 'EPERM'],
];

function hexOf(offset: number, length: number): string {
  return image.subarray(offset, offset + length).toString('hex');
}

test.each(CASES)('a client that %s is told so and goes on', async (_, call, expected) => {
  expect(await nbdsh(true, `tell(lambda: ${call})\n${AFTER}`)).toEqual([expected, ALIVE]);
});

test('all that at once, in flight together, is answered one by one', async () => {
  const program = [
    'buffers = [nbd.Buffer(512) for _ in range(60)]',
    `cookies = [h.aio_pread(b, ${80 * MIB - 512 * 30} + 512 * i) for i, b in enumerate(buffers)]`,
    'def wait(cookie):',
    '  while not h.aio_command_completed(cookie): h.poll(-1)',
    '  return True',
    'for cookie in cookies: tell(lambda: wait(cookie))',
    AFTER,
  ].join('\n');
  const good = Array(30).fill('ok True');
  expect(await nbdsh(true, program)).toEqual([...good, ...Array(30).fill('EINVAL'), ALIVE]);
});

test('a name that is too long, wrong or missing is told so, and the right one still works', async () => {
  const program = [
    // libnbd itself sends none of more than 4096 bytes.
    'for name in ["a" * 256, "a" * 4096, "../disk", "disk ", "Disk", ""]:',
    '  h.set_export_name(name)',
    '  tell(h.opt_info)',
    '  tell(h.opt_go)',
    'tell(lambda: h.set_export_name("a" * 4097))',
    'h.set_export_name("disk")',
    'tell(h.opt_info)',
    'tell(h.opt_go)',
    AFTER,
  ].join('\n');
  const missing = Array(12).fill('ENOENT');
  expect(await nbdsh(false, program)).toEqual([
    ...[...missing, 'ENAMETOOLONG', 'ok None', 'ok None', ALIVE],
  ]);
});

test('status is refused to a client that has chosen no context', async () => {
  const program = ['h.opt_go()', 'tell(lambda: h.block_status(512, 0, lambda *_: 0))', AFTER];
  expect(await nbdsh(false, program.join('\n'))).toEqual(['EINVAL', ALIVE]);
});

test('a client that aborts its handshake, or says goodbye twice, leaves in order', async () => {
  expect(await nbdsh(false, 'tell(h.opt_abort)\ntell(h.opt_go)')).toEqual(['ok None', 'EINVAL']);
  expect(await nbdsh(true, 'tell(h.shutdown)\ntell(h.shutdown)')).toHaveLength(2);
});
