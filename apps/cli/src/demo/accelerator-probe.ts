/**
 * Decides between KVM and TCG by booting the image once with KVM: that /dev/kvm opens says little, as nested or
 * restricted hosts offer a KVM in which no guest gets anywhere.
 */
import { access, constants } from 'node:fs/promises';
import type { ChildSet } from './child-set.ts';
import { ConsoleWatch } from './console-watch.ts';
import { type Accelerator, directQemuCommand, type GuestMachine } from './qemu-command.ts';
import type { RunDirectory } from './run-directory.ts';

export interface ProbeImage {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly marker: RegExp;
}

/** A guest with a KVM that works needs 2 to 10 s. */
const PROBE_MS_MAX = 20_000;

export async function chooseAccelerator(
  image: ProbeImage,
  machine: Omit<GuestMachine, 'accelerator'>,
  children: ChildSet,
  run: RunDirectory,
): Promise<Accelerator> {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const command = directQemuCommand(image.path, image.format, { ...machine, accelerator: 'kvm' });
  const watch = new ConsoleWatch(image.marker);
  const child = children.start({
    name: 'KVM probe',
    argv: command,
    logPath: run.log('kvm-probe'),
    // QEMU puts what the guest writes into a file there.
    env: { TMPDIR: run.path },
  });
  const timer = setTimeout(() => child.kill(), PROBE_MS_MAX);
  child.onText((text) => {
    watch.feed(text);
    if (watch.isReady) child.kill();
  });
  await child.ended;
  clearTimeout(timer);
  return watch.isReady ? 'kvm' : 'tcg';
}
