/** Fits a QEMU command line to the demo: console on standard output, no windows, this accelerator. Starts nothing. */

export type Accelerator = 'kvm' | 'tcg';

export interface GuestMachine {
  readonly accelerator: Accelerator;
  /** Left out, what the command says stays. */
  readonly memoryMiB?: number;
  /** TCG's default CPU is the fastest to emulate and lacks what newer distributions are compiled for. */
  readonly needsModernCpu: boolean;
}

/** Options that the demo decides, and how many arguments each has. */
const REPLACED: Readonly<Record<string, number>> = {
  '-accel': 1,
  '-cpu': 1,
  '-display': 1,
  '-enable-kvm': 0,
  '-monitor': 1,
  '-no-reboot': 0,
  '-nographic': 0,
  '-serial': 1,
};

/** `argv` as an agent returned it for a VM. */
export function demoQemuCommand(argv: readonly string[], machine: GuestMachine): string[] {
  const kept: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const option = argv[at];
    const replacedArgs = option === '-m' && machine.memoryMiB !== undefined ? 1 : REPLACED[option];
    if (replacedArgs !== undefined) at += replacedArgs;
    else kept.push(argv[at - 1] === '-machine' ? withoutAccelerator(option) : option);
  }
  return [...kept, ...machineOptions(machine)];
}

/** A QEMU that boots a copy-on-write view of `diskPath`; what it writes is gone when it ends. */
export function directQemuCommand(
  diskPath: string,
  format: 'raw' | 'qcow2',
  machine: GuestMachine,
): string[] {
  // QEMU separates the parts of a value by commas; a doubled one is a comma.
  const file = diskPath.replaceAll(',', ',,');
  return [
    ...['qemu-system-x86_64', '-machine', 'pc', '-nodefaults'],
    ...['-drive', `file=${file},format=${format},if=virtio,snapshot=on`],
    ...machineOptions({ memoryMiB: 1024, ...machine }),
  ];
}

function machineOptions({ accelerator, memoryMiB, needsModernCpu }: GuestMachine): string[] {
  const cpu = accelerator === 'kvm' ? 'host' : needsModernCpu ? 'max' : undefined;
  return [
    ...['-accel', accelerator],
    ...(cpu === undefined ? [] : ['-cpu', cpu]),
    ...(memoryMiB === undefined ? [] : ['-m', String(memoryMiB)]),
    ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-no-reboot'],
  ];
}

function withoutAccelerator(machine: string): string {
  const parts = machine.split(',').filter((part) => !part.startsWith('accel='));
  return parts.join(',');
}
