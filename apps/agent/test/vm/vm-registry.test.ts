import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { VmRecord } from '../../src/vm/vm-record.ts';
import { VmRegistry } from '../../src/vm/vm-registry.ts';

const IMAGE = { id: 'a'.repeat(40), name: 'debian-12', length: 1_000_001 };

let directory = '';
const vmsFile = (name: string) => join(directory, 'vms', name);
const files = async () => (await readdir(join(directory, 'vms'))).toSorted();
const open = () => VmRegistry.open({ directory, nbdSocketPath: '/run/bootswarm/nbd.sock' });

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vm-registry-'));
  await mkdir(join(directory, 'vms'));
});
afterEach(() => rm(directory, { recursive: true }));

function record(name: string, fields: Partial<VmRecord> = {}): VmRecord {
  return {
    state: 'ready',
    name,
    image: IMAGE.id,
    imageName: IMAGE.name,
    overlay: vmsFile(`${name}.qcow2`),
    sizeBytes: IMAGE.length,
    socket: '/run/bootswarm/nbd.sock',
    export: `${IMAGE.id}@${name}`,
    createdAt: '2025-01-01T00:00:00.000Z',
    backing: 'swarm',
    ...fields,
  };
}

async function leave(name: string, fields: Partial<VmRecord> = {}): Promise<void> {
  await writeFile(vmsFile(`${name}.json`), JSON.stringify(record(name, fields)));
}

describe('a registry that is opened', () => {
  test('makes its directory', async () => {
    await rm(join(directory, 'vms'), { recursive: true });
    expect((await open()).list()).toEqual([]);
  });

  test('lists the VMs it finds, by name', async () => {
    for (const name of ['b', 'a', 'C.1']) {
      await leave(name);
      await writeFile(vmsFile(`${name}.qcow2`), 'overlay');
    }
    const registry = await open();
    expect(registry.list().map(({ name }) => name)).toEqual(['C.1', 'a', 'b']);
    expect(registry.list()[1]).toEqual(record('a'));
    expect(registry.problems).toEqual([]);
  });

  test('takes a VM of before there was a local file for one that reads the swarm', async () => {
    await leave('vm', { backing: undefined });
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    expect((await open()).list()).toEqual([record('vm')]);
  });

  test.each(['creating', 'removing'] as const)('cleans up a VM that was %s', async (state) => {
    await leave('vm', { state });
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    await writeFile(vmsFile('vm.qcow2.partial'), 'overlay');
    await writeFile(vmsFile('vm.json.partial'), '{');
    await writeFile(vmsFile('vm.qmp'), '');
    expect((await open()).list()).toEqual([]);
    expect(await files()).toEqual([]);
  });

  test('forgets a VM whose overlay is gone', async () => {
    await leave('vm');
    expect((await open()).list()).toEqual([]);
    expect(await files()).toEqual([]);
  });

  test('leaves an overlay alone that no record condemns', async () => {
    await writeFile(vmsFile('foreign.qcow2'), 'data');
    const registry = await open();
    await expect(registry.create(IMAGE, 'foreign')).rejects.toMatchObject({ code: 'vm-exists' });
    expect(await readFile(vmsFile('foreign.qcow2'), 'utf8')).toBe('data');
  });

  test.each([
    ['is cut', '{"state": "ready", '],
    ['is empty', ''],
    ['is no object', '7'],
    ['has no image', JSON.stringify({ ...record('vm'), image: undefined })],
    ['has an unknown state', JSON.stringify({ ...record('vm'), state: 'paused' })],
    ['has an unknown backing', JSON.stringify({ ...record('vm'), backing: 'tape' })],
    ['has a flag that is none', JSON.stringify({ ...record('vm'), isMoving: 'yes' })],
    ['has a socket that is no path', JSON.stringify({ ...record('vm'), qmp: 7 })],
    ['has no size', JSON.stringify({ ...record('vm'), sizeBytes: '1' })],
    ['is of another VM', JSON.stringify(record('other'))],
  ])('reports a record that %s, and keeps all files', async (_, content) => {
    await writeFile(vmsFile('vm.json'), content);
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    await leave('good');
    await writeFile(vmsFile('good.qcow2'), 'overlay');
    const registry = await open();
    expect(registry.list().map(({ name }) => name)).toEqual(['good']);
    expect(registry.problems).toMatchObject([{ code: 'vm-record-unreadable' }]);
    // Of whatever image it is: it may be on the local file.
    expect(registry.isPinned(IMAGE.id)).toBe(true);
    expect(await files()).toContain('vm.qcow2');
    await rm(vmsFile('vm.qcow2'));
    await expect(registry.create(IMAGE, 'vm')).rejects.toMatchObject({ code: 'vm-exists' });
    expect(await readFile(vmsFile('vm.json'), 'utf8')).toBe(content);
  });

  test('finds the overlay of a VM when the directory was moved', async () => {
    await leave('vm', { overlay: '/elsewhere/vm.qcow2' });
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    expect((await open()).get('vm').overlay).toBe(vmsFile('vm.qcow2'));
  });
});

describe('a VM', () => {
  test.each(['', '.', '..', '.vm', '-vm', 'a/b', '../vm', 'a b', 'a\n', 'é', 'x'.repeat(64)])(
    'cannot be named %j',
    async (name) => {
      const registry = await open();
      await expect(registry.create(IMAGE, name)).rejects.toMatchObject({ code: 'vm-name-invalid' });
      expect(await files()).toEqual([]);
    },
  );

  test.each([0, -1, 1.5, Number.NaN, 1_000_000, 2 ** 47])('cannot have %d bytes', async (size) => {
    const registry = await open();
    await expect(registry.create(IMAGE, 'vm', { sizeBytes: size })).rejects.toMatchObject({
      code: 'vm-size-invalid',
    });
    expect(await files()).toEqual([]);
  });

  test('that is not there is not found', async () => {
    const registry = await open();
    expect(() => registry.get('vm')).toThrow(expect.objectContaining({ code: 'vm-not-found' }));
    await expect(registry.remove('vm')).rejects.toMatchObject({ code: 'vm-not-found' });
    await expect(registry.remove('../../etc')).rejects.toMatchObject({ code: 'vm-not-found' });
  });

  test('is told how to boot', async () => {
    await leave('vm', { socket: '/run/old.sock' });
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    const info = (await open()).get('vm');
    expect(info).toMatchObject({ name: 'vm', imageName: 'debian-12', socket: '/run/old.sock' });
    expect(info.export).toBe(`${IMAGE.id}@vm`);
    expect(info.qemuCommand.join(' ')).toContain(vmsFile('vm.qcow2'));
    expect(info.libvirtDiskXml).toContain(`name='${IMAGE.id}@vm'`);
  });

  test('has a QMP socket beside its overlay, or where it is wanted', async () => {
    for (const [name, qmp] of [['vm'], ['other', '/run/other.qmp']]) {
      await leave(name, { qmp });
      await writeFile(vmsFile(`${name}.qcow2`), 'overlay');
    }
    const registry = await open();
    expect(registry.get('vm').qmp).toBe(vmsFile('vm.qmp'));
    const { qmp, qemuCommand } = registry.get('other');
    expect(qmp).toBe('/run/other.qmp');
    expect(qemuCommand).toContain('unix:/run/other.qmp,server=on,wait=off');
  });

  test('goes without a QMP socket where there is no room for its path', async () => {
    const name = 'x'.repeat(63);
    const deep = join(directory, 'd'.repeat(50));
    await mkdir(join(deep, 'vms'), { recursive: true });
    await writeFile(join(deep, 'vms', `${name}.json`), JSON.stringify(record(name)));
    await writeFile(join(deep, 'vms', `${name}.qcow2`), 'overlay');
    const registry = await VmRegistry.open({ directory: deep, nbdSocketPath: '/run/nbd.sock' });
    expect(registry.get(name)).not.toHaveProperty('qmp');
    expect(registry.get(name).qemuCommand).not.toContain('-qmp');
  });

  test.each(['qmp.sock', `/${'x'.repeat(107)}`])('cannot have QMP at %s', async (qmp) => {
    const created = (await open()).create(IMAGE, 'vm', { qmp });
    await expect(created).rejects.toMatchObject({ code: 'vm-qmp-invalid' });
    expect(await files()).toEqual([]);
  });

  test('whose overlay cannot be made leaves nothing, and its name is free', async () => {
    const registry = await open();
    const { PATH } = process.env;
    process.env.PATH = directory;
    try {
      for (let attempt = 0; attempt < 2; attempt += 1) {
        await expect(registry.create(IMAGE, 'vm')).rejects.toMatchObject({ code: 'tool-missing' });
        expect(await files()).toEqual([]);
        expect(registry.list()).toEqual([]);
      }
    } finally {
      process.env.PATH = PATH;
    }
  });

  test('is removed by force without asking who uses it', async () => {
    await leave('vm');
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    const registry = await open();
    await registry.remove('vm', { force: true });
    expect(await files()).toEqual([]);
    expect(registry.list()).toEqual([]);
  });

  test('cannot be removed twice at once, nor created meanwhile', async () => {
    await leave('vm');
    await writeFile(vmsFile('vm.qcow2'), 'overlay');
    const registry = await open();
    const removal = registry.remove('vm', { force: true });
    await expect(registry.remove('vm')).rejects.toMatchObject({ code: 'vm-busy' });
    await expect(registry.create(IMAGE, 'vm')).rejects.toMatchObject({ code: 'vm-exists' });
    await removal;
    expect(registry.list()).toEqual([]);
  });
});
