import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { QmpServer } from '../../../../packages/qemu/test/qmp-server.ts';
import type { LocalCopy } from '../../src/local-copy.ts';
import { AutoPivot } from '../../src/vm/auto-pivot.ts';
import { VmMover } from '../../src/vm/vm-mover.ts';
import type { VmRecord } from '../../src/vm/vm-record.ts';
import { VmRegistry } from '../../src/vm/vm-registry.ts';

const IMAGE = { id: 'a'.repeat(40), name: 'debian-12', length: 1_000_001 };
const LOCAL = '/cache/cache.raw';

/**
 * Of an overlay FILE, FILE.backing has the name of the backing file; FILE.locked says that a VM runs, FILE.broken that writes
 * fail.
 */
const QEMU_IMG = `#!/bin/sh
for file in "$@"; do :; done
case "$1" in
create) while [ $# -gt 2 ]; do shift; done; : > "$1"; echo export > "\${1%.partial}.backing"; exit ;;
info) [ "$2" != -U ] || { [ -s "$file.backing" ] && echo '{"backing-filename": "x"}' || echo '{}'; exit; } ;;
esac
if [ -e "$file.locked" ]; then echo 'Failed to get "write" lock' >&2; exit 1; fi
if [ -e "$file.broken" ]; then echo 'Input/output error' >&2; exit 1; fi
if [ "$1" = rebase ]; then echo "$*" >> "$file.log"; fi
`;

const { PATH } = process.env;
let directory = '';
let registry: VmRegistry;
let mover: VmMover;
let local: () => Promise<string>;
const pinned: boolean[] = [];
let told: string[] = [];
const vmsFile = (name: string) => join(directory, 'vms', name);
const record = () => registry.list()[0];
const onDisk = async () => JSON.parse(await readFile(vmsFile('vm.json'), 'utf8')) as VmRecord;
const overlayInUse = () => writeFile(vmsFile('vm.qcow2.locked'), '');

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'vm-moves-'));
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  await writeFile(join(bin, 'qemu-img'), QEMU_IMG);
  await chmod(join(bin, 'qemu-img'), 0o755);
  process.env.PATH = `${bin}:${PATH}`;
  pinned.length = 0;
  told = [];
  local = async () => LOCAL;
  await openAll();
  await registry.create(IMAGE, 'vm');
});
afterEach(() => {
  process.env.PATH = PATH;
  rmSync(directory, { recursive: true });
});

async function openAll(): Promise<void> {
  registry = await VmRegistry.open({ directory, nbdSocketPath: '/run/bootswarm/nbd.sock' });
  mover = new VmMover({
    vms: registry,
    localCopy: (image) => {
      pinned.push(registry.isPinned(image));
      return local();
    },
  });
}

describe('a VM that is moved', () => {
  test('pins the image from before it is looked at until it reads the swarm again', async () => {
    expect(registry.isPinned(IMAGE.id)).toBe(false);
    await mover.rebase('vm', 'local');
    expect(pinned).toEqual([true]);
    expect(record()).toMatchObject({ backing: 'local', imagePath: LOCAL });
    expect(registry.isPinned(IMAGE.id)).toBe(true);
    expect(registry.isPinned('b'.repeat(40))).toBe(false);
    expect([IMAGE.id, 'b'.repeat(40)].map((id) => registry.needsImage(id))).toEqual([true, false]);
    await openAll();
    expect(registry.isPinned(IMAGE.id)).toBe(true);
    await mover.rebase('vm', 'swarm');
    expect(registry.isPinned(IMAGE.id)).toBe(false);
    expect(record()).toMatchObject({ backing: 'swarm', staysOnSwarm: true });
    expect(record().imagePath).toBeUndefined();
    expect(await onDisk()).toEqual(record());
  });

  test('is not pinned any more, nor changed, when the image cannot be read', async () => {
    const before = await onDisk();
    local = () => Promise.reject(new OperatorError('image-incomplete', 'no', 'wait'));
    await expect(mover.rebase('vm', 'local')).rejects.toMatchObject({ code: 'image-incomplete' });
    expect(pinned).toEqual([true]);
    expect(registry.isPinned(IMAGE.id)).toBe(false);
    expect(await onDisk()).toEqual(before);
  });

  test('is as it was when it turns out to run', async () => {
    await overlayInUse();
    await expect(mover.rebase('vm', 'local')).rejects.toMatchObject({ code: 'vm-running' });
    await expect(mover.rebase('vm', 'swarm')).rejects.toMatchObject({ code: 'vm-running' });
    await expect(mover.flatten('vm')).rejects.toMatchObject({ code: 'vm-running' });
    expect(record()).toMatchObject({ backing: 'swarm' });
    expect(registry.isPinned(IMAGE.id)).toBe(false);
  });

  test('stays pinned when nobody knows what its header says, until that is known', async () => {
    await writeFile(vmsFile('vm.qcow2.broken'), '');
    await expect(mover.rebase('vm', 'local')).rejects.toMatchObject({ code: 'overlay-failed' });
    expect(record()).toMatchObject({ backing: 'swarm', isMoving: true });
    expect(registry.isPinned(IMAGE.id)).toBe(true);
    await rm(vmsFile('vm.qcow2.broken'));
    await mover.rebase('vm', 'swarm');
    expect(registry.isPinned(IMAGE.id)).toBe(false);
  });

  test('is told apart from one whose QEMU made no QMP socket', async () => {
    await expect(mover.pivot('vm')).rejects.toMatchObject({ code: 'vm-not-running' });
    await overlayInUse();
    await expect(mover.pivot('vm')).rejects.toMatchObject({ code: 'qmp-unreachable' });
    expect(pinned).toEqual([]);
  });

  test.each([
    ['refuses to read the local file', 'blockdev-reopen', 'refused', false],
    ['ends, perhaps after it began to read the local file', 'blockdev-reopen', 'cut', true],
    ['reads the local file, and cannot write its header', 'block-stream', 'refused', true],
  ])('is pinned as it must be when its QEMU %s', async (_, failing, how, isPinned) => {
    const server = await QmpServer.polite((say, asked) => {
      const { id, execute } = asked!;
      const nodes = ['qcow2', 'file'].map((drv) => {
        const file = vmsFile('vm.qcow2');
        return { 'node-name': `#${drv}`, drv, file, ro: false, image: {} };
      });
      if (execute === failing && how === 'cut') server.cut();
      else if (execute === failing) say(`{"error": {"desc": "no"}, "id": ${id}}\n`);
      else {
        const answers: Record<string, unknown> = {
          'query-status': { status: 'running' },
          'query-block-jobs': [],
          'query-named-block-nodes': nodes,
        };
        say(`${JSON.stringify({ return: answers[execute] ?? {}, id })}\n`);
      }
    });
    await registry.remove('vm', { force: true });
    await registry.create(IMAGE, 'vm', { qmp: server.path });
    await overlayInUse();
    const code = how === 'cut' ? 'qmp-closed' : 'qmp-refused';
    await expect(mover.pivot('vm')).rejects.toMatchObject({ code });
    expect(registry.isPinned(IMAGE.id)).toBe(isPinned);
    expect(record().backing).toBe('swarm');
    expect(record().isMoving).toBe(isPinned || undefined);
    expect(await onDisk()).toEqual(record());
    await server.close();
  });

  test('is known to be flat although the agent did not live to note it', async () => {
    await writeFile(vmsFile('vm.qcow2.backing'), '');
    await expect(mover.rebase('vm', 'local')).rejects.toMatchObject({ code: 'overlay-flat' });
    expect(record()).toMatchObject({ backing: 'none' });
    expect(registry.needsImage(IMAGE.id)).toBe(false);
    expect(registry.isPinned(IMAGE.id)).toBe(false);
  });

  test('is not changed by two at once, nor removed meanwhile', async () => {
    const moving = mover.rebase('vm', 'local');
    await expect(mover.rebase('vm', 'swarm')).rejects.toMatchObject({ code: 'vm-busy' });
    await expect(registry.remove('vm')).rejects.toMatchObject({ code: 'vm-busy' });
    await moving;
    await expect(mover.flatten('none')).rejects.toMatchObject({ code: 'vm-not-found' });
  });

  test('stays pinned over a restart in the middle of a move', async () => {
    await writeFile(vmsFile('vm.json'), JSON.stringify({ ...record(), isMoving: true }));
    await openAll();
    expect(registry.isPinned(IMAGE.id)).toBe(true);
  });
});

describe('a VM that moves by itself', () => {
  const copy = { path: LOCAL, isComplete: true, isVerified: true } as LocalCopy;
  const auto = (isEnabled = true, of: LocalCopy | undefined = copy) =>
    new AutoPivot({
      ...{ isEnabled, vms: registry, mover },
      localCopy: () => of,
      isConnected: () => isConnected,
      log: pino({}, { write: (line) => told.push(JSON.parse(line).msg) }),
    });
  let isConnected = false;
  const ticked = async (pivot: AutoPivot, now: number) => {
    pivot.tick(now);
    await pivot.close();
  };

  test('moves once, when the image is complete', async () => {
    await ticked(auto(true, { ...copy, isComplete: false } as LocalCopy), 0);
    await ticked(auto(false), 0);
    expect(record().backing).toBe('swarm');
    await ticked(auto(), 0);
    expect(record().backing).toBe('local');
    await ticked(auto(), 1_000);
    expect(pinned).toHaveLength(1);
  });

  test('moves again when it still reads through us', async () => {
    await mover.rebase('vm', 'local');
    isConnected = true;
    await ticked(auto(), 0);
    isConnected = false;
    expect(pinned).toHaveLength(2);
  });

  test('begins on the local file when it is created later', async () => {
    await auto(true, { ...copy, isVerified: false } as LocalCopy).created('vm');
    await auto(false).created('vm');
    expect(record().backing).toBe('swarm');
    await auto().created('vm');
    expect(record().backing).toBe('local');
  });

  test('stays where it was put by hand', async () => {
    await mover.rebase('vm', 'swarm');
    await ticked(auto(), 0);
    expect(record().backing).toBe('swarm');
    await mover.rebase('vm', 'local');
    expect(record()).not.toHaveProperty('staysOnSwarm');
  });

  test('follows a cache that was moved, and ends a move that a crash interrupted', async () => {
    await mover.rebase('vm', 'local');
    const moved = '/elsewhere/cache.raw';
    local = async () => moved;
    await ticked(auto(true, { ...copy, path: moved } as LocalCopy), 0);
    expect(record().imagePath).toBe(moved);
    await writeFile(vmsFile('vm.json'), JSON.stringify({ ...record(), isMoving: true }));
    await openAll();
    await ticked(auto(true, { ...copy, path: moved } as LocalCopy), 0);
    expect(record().isMoving).toBeUndefined();
    expect(registry.isPinned(IMAGE.id)).toBe(true);
  });

  test('is tried again after a while when it cannot be moved', async () => {
    await overlayInUse();
    const pivot = auto();
    pivot.tick(0);
    await vi.waitFor(() => expect(told).toEqual(['VM not moved to the local file yet']));
    await rm(vmsFile('vm.qcow2.locked'));
    for (let turn = 0; turn < 10; turn += 1) {
      pivot.tick(29_999);
      await new Promise(setImmediate);
    }
    // Nobody has asked for the image: the move was not begun.
    expect(pinned).toEqual([]);
    await vi.waitFor(() => {
      pivot.tick(30_000);
      expect(told).toHaveLength(2);
    });
    expect(told[1]).toBe('VM reads the local file');
    expect(record().backing).toBe('local');
  });
});
