import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { NovaLinks } from '../../src/nova/nova-links.ts';

test('the directory of base images that it makes is open to QEMU, whatever the umask of its unit', async () => {
  const instancesDir = mkdtempSync(join(tmpdir(), 'bootswarm-instances-'));
  const fuseDir = join(instancesDir, 'fuse');
  mkdirSync(fuseDir);
  // As bootswarm-agent.service has it.
  const umask = process.umask(0o027);
  try {
    const links = new NovaLinks({
      ...{ instancesDir, fuseDir, config: { baseName: '_base', isKnown: true } },
      ...{ images: () => [], cacheFileOf: (imageId) => join(instancesDir, imageId) },
      ...{ isMounted: () => true, mayUseFile: true, log: pino({ level: 'silent' }) },
    });
    await links.close();
  } finally {
    process.umask(umask);
  }
  expect(statSync(join(instancesDir, '_base')).mode & 0o777).toBe(0o755);
  rmSync(instancesDir, { recursive: true });
});
