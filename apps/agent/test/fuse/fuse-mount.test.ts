import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { mountFuse } from '../../src/fuse/fuse-mount.ts';

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
