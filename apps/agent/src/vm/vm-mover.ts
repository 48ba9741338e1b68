/**
 * Moves a VM's overlay between the swarm, this node's copy of the image, and a disk of its own. Decides what the VM's record says
 * meanwhile: the copy is pinned before it is looked at, and until nothing reads it for certain.
 */
import {
  flattenOverlay,
  isOverlayInUse,
  pivotOverlay,
  QmpClient,
  rebaseOverlay,
} from '@bootswarm/qemu';
import { OperatorError } from '@bootswarm/stdx';
import type { VmRecord } from './vm-record.ts';
import type { SaveRecord, VmRegistry } from './vm-registry.ts';

export interface VmMoverOptions {
  readonly vms: VmRegistry;
  /** Resolves to the path of an image's file when it is complete and verified; rejects otherwise. */
  readonly localCopy: (imageId: string) => Promise<string>;
}

export class VmMover {
  readonly #options: VmMoverOptions;
  readonly #stop = new AbortController();

  constructor(options: VmMoverOptions) {
    this.#options = options;
  }

  /**
   * Moves a running VM to the local file. Throws OperatorError `vm-not-running`, `vm-no-qmp`, `overlay-flat`, `vm-not-found`,
   * `vm-busy`, and what localCopy, QmpClient and pivotOverlay throw.
   */
  pivot(name: string): Promise<VmRecord> {
    const { vms } = this.#options;
    return vms.change(name, async (record, save) => {
      requireBacking(record);
      if (!(await isOverlayInUse(record.overlay))) throw notRunning(name);
      const path = vms.qmpSocketPath(record);
      if (path === undefined) throw noQmp(name);
      // Before the image is read for minutes.
      await this.#withQmp(path, async () => {});
      return await this.#toLocal(record, save, async (imagePath, onMoved) => {
        const options = { overlayPath: record.overlay, imagePath, onMoved };
        await this.#withQmp(path, (client) => pivotOverlay(client, options));
      });
    });
  }

  /**
   * Has a VM that is not running read the local file, or the swarm again, from its next start on. Throws OperatorError
   * `vm-not-found`, `vm-busy`, and what localCopy and rebaseOverlay throw.
   */
  rebase(name: string, to: 'local' | 'swarm'): Promise<VmRecord> {
    return this.#options.vms.change(name, async (record, save) => {
      requireBacking(record);
      if (to === 'swarm') return await this.#toSwarm(record, save);
      return await this.#toLocal(record, save, async (imagePath, onMoved) => {
        try {
          await rebaseOverlay(record.overlay, { imagePath });
        } catch (error) {
          if (!isUntouched(error)) onMoved();
          throw error;
        }
      });
    });
  }

  /** Gives a VM that is not running all of its disk in its overlay. Throws as rebase(), and `agent-stopping`. */
  flatten(name: string): Promise<VmRecord> {
    return this.#options.vms.change(name, async (record, save) => {
      if (record.backing === 'none') return record;
      await flattenOverlay(record.overlay, this.#stop.signal);
      return await save({ ...staying(record), backing: 'none' });
    });
  }

  /** Cuts off what may take long. */
  close(): void {
    this.#stop.abort(
      new OperatorError('agent-stopping', 'The agent is stopping', 'Start it again first.'),
    );
  }

  async #withQmp(path: string, use: (client: QmpClient) => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const client = await QmpClient.open({ path });
    const close = (): void => client.close();
    signal.addEventListener('abort', close);
    try {
      await use(client);
    } finally {
      signal.removeEventListener('abort', close);
      close();
    }
  }

  /** `move` says from when on it may fail and the VM read the local file nevertheless. */
  async #toLocal(
    record: VmRecord,
    save: SaveRecord,
    move: (imagePath: string, onMoved: () => void) => Promise<void>,
  ): Promise<VmRecord> {
    let isMoved = false;
    await save({ ...record, isMoving: true });
    try {
      const imagePath = await this.#options.localCopy(record.image);
      await move(imagePath, () => {
        isMoved = true;
      });
      return await save({ ...staying(record), backing: 'local', imagePath });
    } catch (error) {
      if (!isMoved) await save(await flatIfSo(record, error));
      throw error;
    }
  }

  async #toSwarm(record: VmRecord, save: SaveRecord): Promise<VmRecord> {
    const socket = this.#options.vms.nbdSocketPath;
    try {
      await rebaseOverlay(record.overlay, { socketPath: socket, exportName: record.export });
    } catch (error) {
      await save(await flatIfSo(record, error));
      throw error;
    }
    return await save({ ...staying(record), backing: 'swarm', socket, staysOnSwarm: true });
  }
}

/** The record of a VM whose move is over. */
function staying({ isMoving, imagePath, staysOnSwarm, ...record }: VmRecord): VmRecord {
  return record;
}

/** Whether it failed before the overlay's header was written: what was cut off or failed later may have changed it. */
function isUntouched(error: unknown): boolean {
  const codes = ['vm-running', 'overlay-flat', 'tool-missing'];
  return error instanceof OperatorError && codes.includes(error.code);
}

/** A flattening that an agent did not live to see the end of. */
async function flatIfSo(record: VmRecord, error: unknown): Promise<VmRecord> {
  const isFlat = error instanceof OperatorError && error.code === 'overlay-flat';
  return isFlat ? { ...staying(record), backing: 'none' } : record;
}

function requireBacking({ name, backing }: VmRecord): void {
  if (backing !== 'none') return;
  throw new OperatorError(
    'overlay-flat',
    `VM ${name} has all of its disk in its overlay`,
    'Nothing is left to be done.',
  );
}

function notRunning(name: string): OperatorError {
  return new OperatorError(
    'vm-not-running',
    `VM ${name} is not running`,
    `Use bootswarm vm rebase ${name}, which moves a VM that is shut down.`,
  );
}

function noQmp(name: string): OperatorError {
  return new OperatorError(
    'vm-no-qmp',
    `VM ${name} has no QMP socket: its path would be too long`,
    `Shut it down and use bootswarm vm rebase ${name}; give --qmp PATH when you create the next one.`,
  );
}
