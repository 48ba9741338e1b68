import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeForAll, mountFuse } from '../../src/fuse/fuse-mount.ts';

test('a directory that cannot be made is refused with what it takes, also under systemd', () => {
  const openFiles = mkdtempSync(join(tmpdir(), 'bootswarm-open-files-'));
  expect(() => mountFuse('/dev/null/images', openFiles)).toThrow(
    expect.objectContaining({
      code: 'fuse-unavailable',
      message: expect.stringContaining('/dev/null/images'),
      hint: expect.stringContaining('bootswarm-agent-fuse.conf'),
    }),
  );
  rmSync(openFiles, { recursive: true, force: true });
});

test('directories that it makes can be passed by QEMU, whatever the umask; those above stay closed', () => {
  const above = mkdtempSync(join(tmpdir(), 'bootswarm-above-'));
  const umask = process.umask(0o027);
  try {
    makeForAll(join(above, 'new/images'));
    makeForAll(join(above, 'new/images'));
  } finally {
    process.umask(umask);
  }
  const modes = ['', 'new', 'new/images'].map((name) => statSync(join(above, name)).mode & 0o777);
  expect(modes).toEqual([0o700, 0o755, 0o755]);
  rmSync(above, { recursive: true });
});
