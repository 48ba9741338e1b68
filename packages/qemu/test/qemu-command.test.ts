import { describe, expect, test } from 'vitest';
import { qemuCommand } from '../src/qemu-command.ts';

/** The values of an option, in order. */
function valuesOf(command: readonly string[], option: string): string[] {
  return command.filter((_, index) => command[index - 1] === option);
}

describe('a QEMU command', () => {
  test('boots the overlay, stops on a failing disk, and has no network', () => {
    const command = qemuCommand({ name: 'vm-1', overlayPath: '/vms/vm-1.qcow2' });
    expect(command[0]).toBe('qemu-system-x86_64');
    expect(valuesOf(command, '-blockdev').map((json) => JSON.parse(json))).toEqual([
      {
        driver: 'qcow2',
        'node-name': 'overlay',
        discard: 'unmap',
        file: { driver: 'file', filename: '/vms/vm-1.qcow2' },
      },
    ]);
    expect(valuesOf(command, '-device')).toEqual([
      'virtio-blk-pci,drive=overlay,bootindex=0,rerror=stop,werror=stop',
    ]);
    expect(command).toContain('-nodefaults');
    expect(command).not.toContain('-nic');
    expect(valuesOf(command, '-display')).toEqual(['none']);
    expect(valuesOf(command, '-serial')).toEqual(['stdio']);
    expect(command).toContain('-no-reboot');
    expect(command).not.toContain('-qmp');
  });

  test('prefers KVM and falls back to TCG unless told otherwise', () => {
    const base = { name: 'vm', overlayPath: '/x' };
    expect(valuesOf(qemuCommand(base), '-accel')).toEqual(['kvm', 'tcg']);
    const tcg = qemuCommand({ ...base, accelerators: ['tcg'] });
    expect(valuesOf(tcg, '-accel')).toEqual(['tcg']);
  });

  test('takes size, serial port and QMP socket as given', () => {
    const command = qemuCommand({
      name: 'a,b',
      overlayPath: '/x',
      memoryMiB: 512,
      cpus: 2,
      serial: { type: 'file', path: '/tmp/serial.log' },
      qmpSocketPath: '/tmp/a,b.sock',
    });
    expect(valuesOf(command, '-m')).toEqual(['512']);
    expect(valuesOf(command, '-smp')).toEqual(['2']);
    expect(valuesOf(command, '-serial')).toEqual(['file:/tmp/serial.log']);
    expect(valuesOf(command, '-qmp')).toEqual(['unix:/tmp/a,,b.sock,server=on,wait=off']);
    expect(valuesOf(command, '-name')).toEqual(['a,,b']);
  });
});
