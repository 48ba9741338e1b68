/** One QEMU on a host of the lab: when its console shows the marker, and whether the guest has read what it should. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { ConsoleWatch, MARKER_DEFAULT } from '../../apps/cli/src/demo/console-watch.ts';
import { demoQemuCommand } from '../../apps/cli/src/demo/qemu-command.ts';
import type { LabHost } from '../lab/network-lab.ts';

/** Emulated guests share a few cores. What the demo's needs, so that eight of them are no burden to the machine's memory. */
const MACHINE = { accelerator: 'tcg', memoryMiB: 256, needsModernCpu: false } as const;
const READY_MS_MAX = 600_000;

export class LabGuest {
  readonly #child: ChildProcess;
  /** From its start to the marker. Rejects when it ends before, is late, or has read wrong bytes. */
  readonly readySeconds: Promise<number>;

  /** `command`: of a QEMU that boots its disk. `sha256`: what it must print. */
  constructor(host: LabHost, command: readonly string[], sha256: string) {
    const [program, ...args] = [...host.prefix, ...demoQemuCommand(command, MACHINE)];
    const startedAt = performance.now();
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const watch = new ConsoleWatch(new RegExp(MARKER_DEFAULT));
    const ready = Promise.withResolvers<number>();
    const fail = (why: string) => {
      ready.reject(new Error(`the guest on ${host.name} ${why}: ${watch.tail}`));
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        watch.feed(text);
        if (!watch.isReady) return;
        if (watch.sha256 === sha256) ready.resolve((performance.now() - startedAt) / 1_000);
        else fail('has read wrong bytes');
      });
    }
    child.on('error', ({ message }) => fail(`does not start (${message})`));
    child.on('close', (code, signal) => fail(`ended with ${signal ?? code} before its marker`));
    const late = setTimeout(
      () => fail(`shows no marker in ${READY_MS_MAX / 1_000} s`),
      READY_MS_MAX,
    );
    this.#child = child;
    this.readySeconds = ready.promise.finally(() => clearTimeout(late));
    // Whoever waits for another guest meanwhile is told when it comes to this one.
    this.readySeconds.catch(() => {});
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
