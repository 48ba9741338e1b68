/**
 * Gets the agent out of the way by itself: as soon as an image is complete on this node, its VMs are moved to the local file, one
 * after the other, running or not. Decides when; how is vm-mover.ts's.
 */
import { isOverlayInUse } from '@bootswarm/qemu';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { LocalCopy } from '../local-copy.ts';
import type { VmMover } from './vm-mover.ts';
import type { VmRecord } from './vm-record.ts';
import type { VmRegistry } from './vm-registry.ts';

export interface AutoPivotOptions {
  readonly isEnabled: boolean;
  readonly vms: VmRegistry;
  readonly mover: VmMover;
  /** Undefined: the image is not open on this node. */
  readonly localCopy: (imageId: string) => LocalCopy | undefined;
  /** Whether it has an NBD connection. */
  readonly isConnected: (vm: VmRecord) => boolean;
  readonly log: Logger;
}

/** A VM that could not be moved may be migrating, or busy with another QMP client. Nor is one moved more often that could. */
const RETRY_MS = 30_000;

export class AutoPivot {
  readonly #options: AutoPivotOptions;
  /** By name, in milliseconds of the clock of tick(). */
  readonly #retryAt = new Map<string, number>();
  /** By name: the code of the last failure, so that it is told once. */
  readonly #told = new Map<string, string>();
  #running = Promise.resolve();
  #isRunning = false;
  #isClosed = false;

  constructor(options: AutoPivotOptions) {
    this.#options = options;
  }

  /** About once a second. */
  tick(now: number): void {
    if (!this.#options.isEnabled || this.#isRunning) return;
    const due = this.#options.vms.list().filter((vm) => {
      return this.#wantsMove(vm) && now >= (this.#retryAt.get(vm.name) ?? 0);
    });
    this.#forgetRemoved();
    if (due.length === 0) return;
    this.#isRunning = true;
    this.#running = this.#moveAll(due, now).finally(() => {
      this.#isRunning = false;
    });
  }

  /** A VM that was just created and is not running yet: it need not begin on the swarm if the local file can be had at once. */
  async created(name: string): Promise<void> {
    const { isEnabled, vms, mover, localCopy } = this.#options;
    const vm = vms.list().find((each) => each.name === name);
    if (!isEnabled || !vm || !localCopy(vm.image)?.isVerified) return;
    await mover.rebase(name, 'local').then(
      () => this.#moved(vm),
      (error: unknown) => this.#failed(vm, error),
    );
  }

  /** What is being moved is moved to its end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  #wantsMove(vm: VmRecord): boolean {
    const { backing, isMoving, staysOnSwarm, image, imagePath } = vm;
    if (backing === 'none' || staysOnSwarm) return false;
    const copy = this.#options.localCopy(image);
    if (!copy?.isComplete) return false;
    if (backing === 'swarm' || isMoving === true) return true;
    // A cache that was moved to another directory is not where the overlay looks for it. And a QEMU that waited for a guest from
    // another node holds no lock: it was taken for a VM that is shut down, and reads from where it did.
    return imagePath !== copy.path || this.#options.isConnected(vm);
  }

  async #moveAll(due: readonly VmRecord[], now: number): Promise<void> {
    const { mover } = this.#options;
    for (const vm of due) {
      if (this.#isClosed) return;
      this.#retryAt.set(vm.name, now + RETRY_MS);
      try {
        const isRunning = await isOverlayInUse(vm.overlay);
        await (isRunning ? mover.pivot(vm.name) : mover.rebase(vm.name, 'local'));
        this.#moved(vm);
      } catch (error) {
        this.#failed(vm, error);
      }
    }
  }

  #moved({ name, imageName }: VmRecord): void {
    this.#told.delete(name);
    this.#options.log.info({ vm: name, image: imageName }, 'VM reads the local file');
  }

  #failed({ name, imageName }: VmRecord, error: unknown): void {
    const code = error instanceof OperatorError ? error.code : 'failed';
    if (this.#told.get(name) === code || this.#isClosed) return;
    this.#told.set(name, code);
    const told = { vm: name, image: imageName, code, error: messageOf(error) };
    this.#options.log.warn(told, 'VM not moved to the local file yet');
  }

  #forgetRemoved(): void {
    const names = new Set(this.#options.vms.list().map(({ name }) => name));
    for (const known of [this.#retryAt, this.#told]) {
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    }
  }
}
