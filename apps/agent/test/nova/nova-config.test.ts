import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readNovaConfig } from '../../src/nova/nova-config.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bootswarm-nova-conf-'));
  file = join(directory, 'nova.conf');
});
afterEach(() => rmSync(directory, { recursive: true }));

function read(text: string) {
  writeFileSync(file, text);
  return readNovaConfig(file);
}

test('overlays on base images are what links are for', () => {
  expect(read('')).toEqual({ baseName: '_base', isKnown: true });
  expect(read('[libvirt]\nimages_type = QCOW2\n')).toMatchObject({ isKnown: true });
  expect(read('[DEFAULT]\nuse_cow_images = true\n')).toMatchObject({ isKnown: true });
  expect(read('use_cow_images = False\n[libvirt]\nimages_type=qcow2\n').baseName).toBe('_base');
  expect(read('[image_cache]\nsubdirectory_name = "cache"\n').baseName).toBe('cache');
  expect(read('# [libvirt]\n#images_type = raw\n  ;x\n[other]\nimages_type = raw\n')).toBeTruthy();
});

test.each([
  '[libvirt]\nimages_type = raw\n',
  '[libvirt]\nimages_type=flat',
  '[libvirt]\nimages_type = qcow2\nimages_type: raw\n',
  '[DEFAULT]\nuse_cow_images=False\n',
  'use_cow_images = 0\n[libvirt]\nimages_type = default\n',
])('the Flat back end is refused: %j', (text) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ code: 'nova-flat-backend' }));
});

test('so is one without base images, and a file that cannot be read', () => {
  expect(() => read('[libvirt]\nimages_type = rbd\n')).toThrow(/images_type=rbd/);
  expect(() => readNovaConfig(join(directory, 'none'))).toThrow(/Cannot read .*none: ENOENT/);
});
