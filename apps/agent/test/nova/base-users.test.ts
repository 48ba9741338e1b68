import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { baseNameOf } from '../../src/nova/base-link.ts';
import { findBaseUsers } from '../../src/nova/base-users.ts';

test('finds the base images that disks name, and disks that are links', async () => {
  const instances = mkdtempSync(join(tmpdir(), 'bootswarm-instances-'));
  const [used, resized, unused, named] = ['a', 'b', 'c', 'd'].map(baseNameOf);
  mkdirSync(join(instances, '_base'));
  for (const name of ['one', 'two_resize', 'flat', 'locks']) mkdirSync(join(instances, name));
  const overlay = (base: string, disk: string) => {
    writeFileSync(join(instances, '_base', base), Buffer.alloc(65_536));
    const options = ['-f', 'qcow2', '-F', 'raw', '-b', join(instances, '_base', base)];
    execFileSync('qemu-img', ['create', '-q', ...options, join(instances, disk)]);
  };
  overlay(used, 'one/disk');
  overlay(resized, 'two_resize/disk.local');
  symlinkSync('/fuse/x.raw', join(instances, 'flat', 'disk'));
  // Neither is a disk, and a base image is no instance.
  writeFileSync(join(instances, 'one', 'console.log'), named);
  writeFileSync(join(instances, '_base', 'disk'), unused);
  const found = await findBaseUsers(instances, '_base', [used, resized, unused, named]);
  expect(found.used).toEqual(new Set([used, resized]));
  expect(found.links).toEqual(new Map([[join(instances, 'flat', 'disk'), '/fuse/x.raw']]));
  rmSync(instances, { recursive: true });
});
