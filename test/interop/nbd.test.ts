/** The NBD server against the clients it is for: QEMU's tools, libnbd's tools, and libnbd with its safety catches off. */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { NbdListener } from '../../apps/agent/src/nbd/nbd-listener.ts';
import {
  directoryOf,
  FileExport,
  imageBytes,
  PIECE_LENGTH,
} from '../../apps/agent/test/nbd/file-export.ts';
import { until } from '../cluster.ts';

const execute = promisify(execFile);
const TIMEOUT_MS = 60_000;

/** 12.5 MiB and a tail that is no multiple of a sector. */
const image = imageBytes(200, 1003);
let directory: string;
let imagePath: string;
let disk: FileExport;
let listener: NbdListener;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bootswarm-nbd-'));
  imagePath = join(directory, 'image.raw');
  await writeFile(imagePath, image);
  disk = new FileExport('disk', imagePath, image);
  const vm = new FileExport('disk@vm-1', imagePath, image);
  listener = await NbdListener.listen(
    { type: 'path', path: join(directory, 'nbd.sock') },
    { directory: directoryOf(disk, vm), onEvent: () => {} },
  );
});

afterEach(() => {
  disk.isSlow = false;
  disk.onWaiting = () => {};
  disk.release();
});

afterAll(async () => {
  await listener.close();
  disk.destroy();
  await rm(directory, { recursive: true });
});

function uri(exportName = 'disk'): string {
  return `nbd+unix:///${exportName}?socket=${join(directory, 'nbd.sock')}`;
}

async function run(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(program, args, { timeout: TIMEOUT_MS });
  return stdout;
}

describe('libnbd tools', () => {
  test('nbdinfo reads what is advertised', async () => {
    const info = JSON.parse(await run('nbdinfo', '--json', uri()));
    expect(info).toMatchObject({ protocol: 'newstyle-fixed', TLS: false, structured: true });
    expect(info.exports).toMatchObject([
      {
        'export-name': 'disk',
        description: 'a file',
        'export-size': image.length,
        contexts: ['base:allocation'],
        is_read_only: true,
        can_cache: true,
        can_df: true,
        can_flush: true,
        can_multi_conn: true,
        can_fua: false,
        can_trim: false,
        can_zero: false,
        block_size_minimum: 1,
        block_size_preferred: PIECE_LENGTH,
        block_size_maximum: 32 * 1024 * 1024,
      },
    ]);
  });

  test('nbdinfo --list shows every name that is listed', async () => {
    const info = JSON.parse(await run('nbdinfo', '--list', '--json', uri('')));
    const names = info.exports.map((found: { 'export-name': string }) => found['export-name']);
    expect(names).toEqual(['disk', 'disk@vm-1']);
  });

  test('nbdinfo --map tells zero pieces from data', async () => {
    const map = JSON.parse(await run('nbdinfo', '--map', '--json', uri()));
    expect(map).toHaveLength(134);
    expect(map.slice(0, 2)).toEqual([
      { offset: 0, length: 2 * PIECE_LENGTH, type: 0, description: 'data' },
      { offset: 2 * PIECE_LENGTH, length: PIECE_LENGTH, type: 3, description: 'hole,zero' },
    ]);
    expect(map.at(-1)).toMatchObject({ offset: 200 * PIECE_LENGTH, length: 1003, type: 3 });
  });

  test('nbdinfo says that a missing export is missing', async () => {
    await expect(run('nbdinfo', uri('other'))).rejects.toThrow('No such file or directory');
  });

  test.each([
    ['from memory, over several connections', false, []],
    ['when every read waits', true, []],
    ['with one request at a time, past holes', true, ['--synchronous', '--sparse=0']],
  ])('nbdcopy copies the image byte for byte %s', async (_, isSlow, options) => {
    disk.isSlow = isSlow;
    const copy = join(directory, 'copy.raw');
    await run('nbdcopy', ...options, uri(), copy);
    expect((await readFile(copy)).equals(image)).toBe(true);
    await rm(copy);
  });
});

test('fio reads all it asks for, 32 at a time over two connections', async () => {
  const job = ['--name=job', '--ioengine=nbd', `--uri=${uri()}`, '--rw=randread', '--bs=4k'];
  const shape = ['--iodepth=32', '--numjobs=2', '--size=8M', '--output-format=json'];
  // Its engine says that it is connected before it prints JSON.
  const output = await run('fio', ...job, ...shape);
  const { jobs } = JSON.parse(output.slice(output.indexOf('{')));
  for (const { error, read } of jobs) {
    expect([error, read.io_bytes, read.short_ios]).toEqual([0, 8 * 1024 * 1024, 0]);
  }
});

describe('QEMU tools', () => {
  test.each([false, true])('qemu-img compare finds no difference (isSlow: %s)', async (isSlow) => {
    disk.isSlow = isSlow;
    const args = ['-f', 'raw', '-F', 'raw', uri(), imagePath];
    expect(await run('qemu-img', 'compare', ...args)).toContain('Images are identical');
  });

  test('qemu-img map tells zero pieces from data', async () => {
    const output = await run('qemu-img', 'map', '-f', 'raw', '--output=json', uri());
    const extents: { start: number; length: number; zero: boolean }[] = JSON.parse(output);
    // QEMU rounds the size up to a sector, and tells of the bytes past the end too.
    const map = extents.filter(({ start }) => start < image.length);
    expect(map).toHaveLength(134);
    expect(map[1]).toMatchObject({ start: 2 * PIECE_LENGTH, length: PIECE_LENGTH, zero: true });
    expect(map.filter(({ zero }) => zero)).toHaveLength(67);
  });

  test('qemu-io reads odd offsets and lengths, within pieces and across them', async () => {
    const reads = [
      [1, 1],
      [511, 3],
      [PIECE_LENGTH - 1, 2],
      [2 * PIECE_LENGTH - 7, PIECE_LENGTH + 15],
      [200 * PIECE_LENGTH + 1, 1002],
    ];
    const commands = reads.flatMap(([offset, length]) => ['-c', `read -v ${offset} ${length}`]);
    const output = await run('qemu-io', '-r', '-f', 'raw', ...commands, uri());
    // Lines of the dump: offset, sixteen bytes in hex, two spaces, the same as text.
    const dumped = [...output.matchAll(/^[0-9a-f]{8}: {2}((?:[0-9a-f]{2} )+) /gm)]
      .map(([, bytes]) => bytes.replaceAll(' ', ''))
      .join('');
    const expected = reads.map(([offset, length]) => image.subarray(offset, offset + length));
    expect(Buffer.from(dumped, 'hex').equals(Buffer.concat(expected))).toBe(true);
  });

  test('qemu-nbd lists it, and serves it to others as it is', async () => {
    const socket = join(directory, 'nbd.sock');
    expect(await run('qemu-nbd', '--list', '-k', socket)).toContain(`size:  ${image.length}`);
    const again = join(directory, 'again.sock');
    const child = spawn('qemu-nbd', ['-r', '-f', 'raw', '--socket', again, uri()]);
    const ended = new Promise((resolve) => child.on('close', resolve));
    const copy = join(directory, 'copy.raw');
    await until('qemu-nbd listens', () => existsSync(again));
    await run('nbdcopy', `nbd+unix:///?socket=${again}`, copy);
    // QEMU rounds the size up to a sector.
    expect((await readFile(copy)).subarray(0, image.length).equals(image)).toBe(true);
    child.kill();
    await ended;
  });

  test('qemu-io cannot open it for writing', async () => {
    await expect(run('qemu-io', '-f', 'raw', '-c', 'write 0 512', uri())).rejects.toThrow(
      'Permission denied',
    );
  });

  test('an overlay on it is made, read and written', async () => {
    const overlay = join(directory, 'vm.qcow2');
    await run('qemu-img', 'create', '-f', 'qcow2', '-F', 'raw', '-b', uri('disk@vm-1'), overlay);
    await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x5a 100 1000', overlay);
    const expected = Buffer.from(image).fill(0x5a, 100, 1100);
    const flat = join(directory, 'flat.raw');
    await run('qemu-img', 'convert', '-O', 'raw', overlay, flat);
    expect((await readFile(flat)).subarray(0, image.length).equals(expected)).toBe(true);
  });
});

/** Runs a Python program in which `h` is a connected handle; the lines it prints are its result. */
async function python(program: string, options: readonly string[] = []): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of pythonLines(program, options)) lines.push(line);
  return lines;
}

async function* pythonLines(
  program: string,
  options: readonly string[] = [],
): AsyncGenerator<string> {
  const source = [
    'import nbd, errno, sys',
    'h = nbd.NBD()',
    'h.set_strict_mode(0)',
    'h.add_meta_context("base:allocation")',
    ...options,
    `h.connect_uri(${JSON.stringify(uri())})`,
    'def errno_of(call):',
    '  try: call(); return "ok"',
    '  except nbd.Error as error: return error.errno',
    program,
  ].join('\n');
  const child = spawn('/usr/bin/python3', ['-u', '-c', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: TIMEOUT_MS,
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  yield* createInterface(child.stdout);
  expect(await ended).toBe(0);
}

function hexOf(offset: number, length: number): string {
  return image.subarray(offset, offset + length).toString('hex');
}

const SIMPLE = ['h.set_request_structured_replies(False)'];

describe('libnbd', () => {
  test.each([
    ['simple replies', SIMPLE, 'False'],
    ['structured replies', [], 'True'],
  ])('reads across extents with %s', async (_, options, isStructured) => {
    const offset = 2 * PIECE_LENGTH - 5;
    const length = PIECE_LENGTH + 10;
    const program = [
      'print(h.get_structured_replies_negotiated())',
      `print(h.pread(${length}, ${offset}).hex())`,
    ].join('\n');
    expect(await python(program, options)).toEqual([isStructured, hexOf(offset, length)]);
  });

  test('is told the zeroes of a structured read as a hole, and with DF as data', async () => {
    const program = [
      'def show(data, offset, status, error): print(offset, len(data), status)',
      `start, length = ${2 * PIECE_LENGTH - 5}, ${PIECE_LENGTH + 10}`,
      'h.pread_structured(length, start, show)',
      'h.pread_structured(length, start, show, nbd.CMD_FLAG_DF)',
    ].join('\n');
    const [data, hole] = [1, 2];
    expect(await python(program)).toEqual([
      `${2 * PIECE_LENGTH - 5} 5 ${data}`,
      `${2 * PIECE_LENGTH} ${PIECE_LENGTH} ${hole}`,
      `${3 * PIECE_LENGTH} 5 ${data}`,
      `${2 * PIECE_LENGTH - 5} ${PIECE_LENGTH + 10} ${data}`,
    ]);
  });

  test('gets an errno for each thing it may not do, and the connection lives on', async () => {
    const program = [
      `size = ${image.length}`,
      'print(errno_of(lambda: h.pread(1, size)))',
      'print(errno_of(lambda: h.pread(2, size - 1)))',
      'print(errno_of(lambda: h.pwrite(b"x" * 100000, 0)))',
      'print(errno_of(lambda: h.trim(512, 0)))',
      'print(errno_of(lambda: h.zero(512, 0)))',
      'print(errno_of(lambda: h.pread(1, 0, nbd.CMD_FLAG_FUA)))',
      'print(errno_of(lambda: h.cache(1, size)))',
      'print(errno_of(lambda: h.flush()))',
      'print(errno_of(lambda: h.cache(size, 0)))',
      'print(h.pread(1, size - 1).hex())',
    ].join('\n');
    const expected = 'EINVAL EINVAL EPERM EPERM EPERM EINVAL EINVAL ok ok'.split(' ');
    expect(await python(program)).toEqual([...expected, hexOf(image.length - 1, 1)]);
    expect(await python(program, SIMPLE)).toEqual([...expected, hexOf(image.length - 1, 1)]);
    expect(disk.prefetched.at(-1)).toEqual([0, image.length]);
  });

  test('walks the whole export by BLOCK_STATUS, one extent at a time', async () => {
    const program = [
      'extents = []',
      'def note(context, offset, entries, error): extents.append(entries)',
      'offset = 0',
      'while offset < h.get_size():',
      '  h.block_status(h.get_size() - offset, offset, note, nbd.CMD_FLAG_REQ_ONE)',
      '  assert len(extents[-1]) == 2 and extents[-1][0] > 0',
      '  offset += extents[-1][0]',
      'print(len(extents), offset)',
    ].join('\n');
    expect(await python(program)).toEqual([`134 ${image.length}`]);
  });

  test.each([
    ['simple', SIMPLE],
    ['structured', []],
  ])('waits for a piece that is not here while later reads pass it (%s)', async (_, options) => {
    disk.hold(PIECE_LENGTH, PIECE_LENGTH + 1);
    const program = [
      'late, early = nbd.Buffer(8), nbd.Buffer(8)',
      `held = h.aio_pread(late, ${PIECE_LENGTH})`,
      `free = h.aio_pread(early, ${3 * PIECE_LENGTH})`,
      'while not h.aio_command_completed(free): h.poll(-1)',
      'print(early.to_bytearray().hex(), h.aio_in_flight())',
      'while not h.aio_command_completed(held): h.poll(-1)',
      'print(late.to_bytearray().hex(), h.aio_in_flight())',
    ].join('\n');
    const lines: string[] = [];
    for await (const line of pythonLines(program, options)) {
      lines.push(line);
      if (lines.length === 1) disk.release();
    }
    expect(lines).toEqual([`${hexOf(3 * PIECE_LENGTH, 8)} 1`, `${hexOf(PIECE_LENGTH, 8)} 0`]);
  });

  test('is cut, not answered, when its export is withdrawn', async () => {
    disk.hold(0, image.length);
    disk.onWaiting = () => void (disk.waiting.size > 0 && listener.cut('disk'));
    const program = 'print(errno_of(lambda: h.pread(8, 0)), h.aio_is_ready(), h.aio_is_closed())';
    expect(await python(program)).toEqual(['ENOTCONN False True']);
    expect(disk.waiting.size).toBe(0);
    expect(disk.openCount).toBe(0);
  });
});
