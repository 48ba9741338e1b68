/**
 * The argv of a QEMU that boots an overlay: enough to run a VM by hand, in a demo or a test, and a pattern to copy for those who
 * have their own. Starts nothing.
 */
import { assert } from '@bootswarm/stdx';

export type Accelerator = 'kvm' | 'tcg';

export interface QemuOptions {
  /** Shown as the VM's name. */
  readonly name: string;
  readonly overlayPath: string;
  /** In order of preference: QEMU takes the first one that works on the host. */
  readonly accelerators?: readonly Accelerator[];
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** Where the first serial port goes: to the terminal, or to a file. */
  readonly serial?: { readonly type: 'stdio' } | { readonly type: 'file'; readonly path: string };
  /** A unix socket for QMP, which resumes a VM that stopped on an I/O error. Default: none. */
  readonly qmpSocketPath?: string;
}

/** The program and its arguments; no shell is needed or expected. The VM has no network. */
export function qemuCommand(options: QemuOptions): string[] {
  const accelerators = options.accelerators ?? ['kvm', 'tcg'];
  assert(accelerators.length > 0, 'no accelerator');
  const serial = options.serial ?? { type: 'stdio' };
  return [
    'qemu-system-x86_64',
    '-name',
    escapeCommas(options.name),
    '-machine',
    'q35',
    // No network, no drives but the overlay. A display adapter, unseen: some boot loaders stop without one.
    '-nodefaults',
    '-vga',
    'std',
    '-display',
    'none',
    ...accelerators.flatMap((accelerator) => ['-accel', accelerator]),
    // Everything that the accelerator which was taken can do; the default lacks what x86-64-v2 systems ask for.
    '-cpu',
    'max',
    '-m',
    String(options.memoryMiB ?? 1024),
    '-smp',
    String(options.cpus ?? 1),
    '-blockdev',
    JSON.stringify({
      driver: 'qcow2',
      'node-name': 'overlay',
      discard: 'unmap',
      // No `backing` here: the header has it, and follows when the overlay is rebased.
      file: { driver: 'file', filename: options.overlayPath },
    }),
    '-device',
    // stop: a disk that fails pauses the VM, which QMP `cont` resumes; a guest would make its root read-only.
    'virtio-blk-pci,drive=overlay,bootindex=0,rerror=stop,werror=stop',
    '-serial',
    serial.type === 'file' ? `file:${serial.path}` : 'stdio',
    '-no-reboot',
    ...(options.qmpSocketPath === undefined
      ? []
      : ['-qmp', `unix:${escapeCommas(options.qmpSocketPath)},server=on,wait=off`]),
  ];
}

/** A comma ends a value in QEMU's option syntax, two stand for one. */
function escapeCommas(value: string): string {
  return value.replaceAll(',', ',,');
}
