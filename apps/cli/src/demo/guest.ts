/** One VM of the demo: its overlay from an agent, its QEMU, and how its boot went by its own console. */
import { setTimeout as delay } from 'node:timers/promises';
import type { VmInfo } from '@bootswarm/agent';
import type { Child } from './child.ts';
import type { ChildSet } from './child-set.ts';
import type { CloudNode } from './cloud.ts';
import { ConsoleWatch } from './console-watch.ts';
import { demoQemuCommand, type GuestMachine } from './qemu-command.ts';
import type { RunDirectory } from './run-directory.ts';

export type GuestState =
  | { readonly type: 'created' }
  | { readonly type: 'booting'; readonly startedAt: number }
  | { readonly type: 'ready'; readonly seconds: number; readonly sha256: string | undefined }
  | { readonly type: 'failed'; readonly reason: string; readonly consoleTail: string };

export interface BootOptions {
  readonly machine: GuestMachine;
  readonly marker: RegExp;
  /** What the guest's sum must be; left out, none is expected. */
  readonly sha256: string | undefined;
  readonly timeoutMs: number;
  readonly children: ChildSet;
  readonly run: RunDirectory;
}

/** The demo's own image powers itself off after its marker; others are ended. */
const POWER_OFF_MS_MAX = 5_000;

export class Guest {
  readonly name: string;
  readonly node: CloudNode;
  readonly #vm: VmInfo;
  #state: GuestState = { type: 'created' };

  private constructor(name: string, node: CloudNode, vm: VmInfo) {
    this.name = name;
    this.node = node;
    this.#vm = vm;
  }

  static async create(name: string, node: CloudNode, image: string): Promise<Guest> {
    return new Guest(name, node, await node.agent.post<VmInfo>('/v1/vms', { image, name }));
  }

  get state(): GuestState {
    return this.#state;
  }

  /** created → booting → ready | failed. Resolves when QEMU has ended; a guest that fails is a state, not an error. */
  async boot(options: BootOptions): Promise<void> {
    const startedAt = performance.now();
    const watch = new ConsoleWatch(options.marker);
    const child = options.children.start({
      name: this.name,
      argv: demoQemuCommand(this.#vm.qemuCommand, options.machine),
      logPath: options.run.log(this.name),
    });
    this.#state = { type: 'booting', startedAt };
    const ready = new Promise<number>((resolve) => {
      child.onText((text) => {
        watch.feed(text);
        if (watch.isReady) resolve((performance.now() - startedAt) / 1000);
      });
    });
    const timeout = new AbortController();
    const late = delay(options.timeoutMs, undefined, { signal: timeout.signal });
    const outcome = await Promise.race([ready, child.ended, late]).finally(() => timeout.abort());
    if (typeof outcome === 'number') {
      this.#state = judge(watch, outcome, options.sha256);
      if (options.sha256 !== undefined) await powerOff(child);
    } else {
      const reason = outcome ? `QEMU ${outcome}` : `no marker in ${options.timeoutMs / 1000} s`;
      // Without a console, QEMU itself may have said why.
      this.#state = { type: 'failed', reason, consoleTail: watch.tail || child.tail };
    }
    await child.stop();
  }
}

async function powerOff(child: Child): Promise<void> {
  await Promise.race([child.ended, delay(POWER_OFF_MS_MAX, undefined, { ref: false })]);
}

function judge(watch: ConsoleWatch, seconds: number, expected: string | undefined): GuestState {
  const { sha256 } = watch;
  if (expected === undefined || sha256 === expected) return { type: 'ready', seconds, sha256 };
  const reason = `it read wrong bytes: SHA-256 ${sha256 ?? 'missing'}, not ${expected}`;
  return { type: 'failed', reason, consoleTail: watch.tail };
}
