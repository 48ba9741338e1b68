/** Boots a VM of the demo image under QEMU (TCG) and tells when its console shows the marker. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { VmInfo } from '@bootswarm/agent';
import { ConsoleWatch, MARKER_DEFAULT } from '../../apps/cli/src/demo/console-watch.ts';
import { type DemoImage, prepareDemoImage } from '../../apps/cli/src/demo/demo-image.ts';
import { demoQemuCommand } from '../../apps/cli/src/demo/qemu-command.ts';

/** Where `npm run demo` keeps it, so that it is made once. */
const CACHE = fileURLToPath(new URL('../../.bootswarm/demo', import.meta.url));

export function demoImage(): Promise<DemoImage> {
  return prepareDemoImage(CACHE, () => {});
}

export class Boot {
  readonly #child: ChildProcess;
  readonly #watch = new ConsoleWatch(new RegExp(MARKER_DEFAULT));

  /** `more`: further arguments of QEMU. */
  constructor(vm: VmInfo, ...more: string[]) {
    const machine = { accelerator: 'tcg', memoryMiB: 256, needsModernCpu: false } as const;
    const [program, ...args] = demoQemuCommand(vm.qemuCommand, machine);
    this.#child = spawn(program, [...args, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#watch.feed(text));
    }
  }

  get isReady(): boolean {
    return this.#watch.isReady;
  }

  /** What the guest printed of the files it read. */
  get sha256(): string | undefined {
    return this.#watch.sha256;
  }

  get tail(): string {
    return this.#watch.tail;
  }

  /** The guest's clock and reads stand still until resume(). */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
