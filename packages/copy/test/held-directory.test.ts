import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtInSchemes, type CopyResult, copy, requireInside } from '../src/index.ts';

/** Where copies may be made, and where they may not. */
let inside: string;
let elsewhere: string;

beforeEach(() => {
  inside = mkdtempSync(join(tmpdir(), 'inside-'));
  elsewhere = mkdtempSync(join(tmpdir(), 'elsewhere-'));
  mkdirSync(within('sub'));
  writeFileSync(within('from'), 'bytes');
});

afterEach(() => {
  for (const path of [inside, elsewhere]) rmSync(path, { recursive: true });
});

const within = (name: string): string => join(inside, name);

/** `onOpened`: when the target is open and the source is about to be. */
function run(from: string, to: string, onOpened = () => {}): Promise<CopyResult> {
  const schemes = builtInSchemes({ inside });
  for (const scheme of ['file', 'nbd+unix']) {
    const read = schemes.reader({ scheme } as never);
    schemes.register(scheme, {
      ...(scheme === 'file' && { writer: schemes.writer({ scheme } as never) }),
      reader: (uri, signal) => {
        onOpened();
        return read(uri, signal);
      },
    });
  }
  return copy(from, to, { schemes, force: true }).wait();
}

/** What somebody may do who may write in the directory, at the worst moment. */
function replaceByLink(name: string, target: string): void {
  renameSync(within(name), within('moved'));
  symlinkSync(target, within(name));
}

describe('a copy that has to stay in a directory', () => {
  it('makes its file in the directory that was checked, whatever has its name by then', async () => {
    await run(within('from'), within('sub/to'), () => replaceByLink('sub', elsewhere));
    expect(readFileSync(within('moved/to'), 'utf8')).toBe('bytes');
    expect(readdirSync(within('moved'))).toEqual(['to']);
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  it('refuses a target whose directory is outside by the time it is opened', async () => {
    await requireInside(within('sub/to'), inside);
    replaceByLink('sub', elsewhere);
    await expect(run(within('from'), within('sub/to'))).rejects.toMatchObject({
      code: 'copy-outside',
    });
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  it('reads by where links lead, and nothing outside', async () => {
    writeFileSync(join(elsewhere, 'secret'), 'secret');
    symlinkSync('from', within('link'));
    await run(within('link'), within('to'));
    expect(readFileSync(within('to'), 'utf8')).toBe('bytes');
    await requireInside(within('link'), inside);
    const swap = () => {
      unlinkSync(within('link'));
      symlinkSync(join(elsewhere, 'secret'), within('link'));
    };
    await expect(run(within('link'), within('to'), swap)).rejects.toMatchObject({
      code: 'copy-outside',
    });
    expect(readFileSync(within('to'), 'utf8')).toBe('bytes');
  });

  it('replaces a link by its file, and follows none', async () => {
    writeFileSync(join(elsewhere, 'precious'), 'precious');
    symlinkSync(join(elsewhere, 'precious'), within('to'));
    await run(within('from'), within('to'));
    expect(readFileSync(join(elsewhere, 'precious'), 'utf8')).toBe('precious');
    expect(readFileSync(within('to'), 'utf8')).toBe('bytes');
  });

  it('says no more of what is outside than that it is', async () => {
    for (const path of ['/etc/passwd', '/nowhere/at/all', `${inside}/../x`, 'relative']) {
      await expect(requireInside(path, inside)).rejects.toMatchObject({ code: 'copy-outside' });
    }
    await expect(requireInside(within('x'), within('..missing'))).rejects.toThrow('is not in');
    await requireInside(within('..x'), inside);
    await requireInside('/etc/passwd', '/');
  });

  it('connects to the socket that was checked', async () => {
    const greeted: string[] = [];
    const listen = async (path: string) => {
      const server = createServer((socket) => {
        greeted.push(path);
        socket.destroy();
      }).listen(path);
      await once(server, 'listening');
      return server;
    };
    const path = within('nbd.sock');
    const outer = join(elsewhere, 'nbd.sock');
    const servers = [await listen(path), await listen(outer)];
    const from = `nbd+unix:///?socket=${path}`;
    await expect(run(from, within('to'))).rejects.toMatchObject({ code: 'nbd-unreachable' });
    expect(greeted).toEqual([path]);
    const swap = () => replaceByLink('nbd.sock', outer);
    await expect(run(from, within('to'), swap)).rejects.toMatchObject({ code: 'copy-outside' });
    expect(greeted).toEqual([path]);
    for (const server of servers) server.close();
  });
});

describe('the directory of a copy under way', () => {
  it.each([
    ['a link', (path: string) => symlinkSync(elsewhere, path)],
    ['a file', (path: string) => writeFileSync(path, '')],
    [
      'one that others may write in',
      (path: string) => {
        mkdirSync(path);
        chmodSync(path, 0o777);
      },
    ],
  ])('is not taken up when it is %s', async (_, make) => {
    make(within('.to.bootswarm-copy'));
    await expect(run(within('from'), within('to'))).rejects.toMatchObject({
      code: 'work-directory-taken',
      message: expect.stringContaining(within('.to.bootswarm-copy')),
    });
    expect(readdirSync(elsewhere)).toEqual([]);
  });
});
