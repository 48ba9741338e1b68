/** What a VM's disk reads from, as the turns of bench boot see it; and an overlay over anything that QEMU can open. */
import { join } from 'node:path';
import { qemuCommand } from '@bootswarm/qemu';
import { run } from '../../test/cluster.ts';
import type { LabHost } from '../lab/network-lab.ts';

/** A VM of one turn. */
export interface GuestPlace {
  /** No other VM of the run has it. */
  readonly name: string;
  readonly node: number;
  readonly host: LabHost;
}

export interface BootSource {
  /** Resolves to the QEMU command of each VM, when all of them may start. */
  prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]>;
  /** After the QEMUs have ended: the next turn finds nothing of this one. */
  clear(): Promise<void>;
}

/** The QEMU command of a VM as ours gets it, with an overlay of its own over `backing`, in QEMU's spelling. */
export async function overlayCommand(
  directory: string,
  name: string,
  backing: string,
): Promise<readonly string[]> {
  const overlayPath = join(directory, `${name}.qcow2`);
  const args = ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', backing, overlayPath];
  const { code, stderr } = await run('qemu-img', args);
  if (code !== 0) throw new Error(`no overlay over ${backing}: ${stderr.trim()}`);
  return qemuCommand({ name, overlayPath });
}

export async function runOn(host: LabHost, ...command: readonly string[]): Promise<string> {
  const [program, ...args] = [...host.prefix, ...command];
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) throw new Error(`${command.join(' ')} on ${host.name}: ${stderr.trim()}`);
  return stdout;
}
