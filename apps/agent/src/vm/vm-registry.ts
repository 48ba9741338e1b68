/**
 * The VMs of this node: creates, lists and removes their overlays, and remembers them over restarts and crashes in DIR/vms as
 * NAME.json and NAME.qcow2. Knows images by id and length only: no swarm, no NBD connection.
 */
import { access, mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import {
  type Accelerator,
  createOverlay,
  deleteOverlay,
  isOverlayInUse,
  libvirtDiskXml,
  qemuCommand,
} from '@bootswarm/qemu';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';
import type { VmInfo } from '../api.ts';
import { readRecord, VM_NAME, type VmRecord, writeRecord } from './vm-record.ts';

export interface VmRegistryOptions {
  /** VMs are kept in `vms` below it. */
  readonly directory: string;
  /** Absolute path of the socket that new overlays read from. */
  readonly nbdSocketPath: string;
  /** For the QEMU commands that are handed out. Default: KVM, or TCG where there is none. */
  readonly accelerators?: readonly Accelerator[];
}

export interface VmImage {
  /** 40 hex digits. */
  readonly id: string;
  readonly name: string;
  /** Bytes. */
  readonly length: number;
}

/** 64 TiB, as large as an image can be. */
const VM_SIZE_MAX = 64 * 1024 ** 4;

export class VmRegistry {
  readonly #directory: string;
  readonly #nbdSocketPath: string;
  readonly #accelerators: readonly Accelerator[] | undefined;
  readonly #records = new Map<string, VmRecord>();
  /** Names with an operation under way, which a second one must not overtake. */
  readonly #busy = new Set<string>();
  readonly #problems: OperatorError[] = [];

  private constructor(options: VmRegistryOptions) {
    this.#directory = join(resolve(options.directory), 'vms');
    this.#nbdSocketPath = options.nbdSocketPath;
    this.#accelerators = options.accelerators;
  }

  /** Loads the VMs of `directory` and finishes what a crash interrupted: what was half made or half removed goes. */
  static async open(options: VmRegistryOptions): Promise<VmRegistry> {
    const registry = new VmRegistry(options);
    await mkdir(registry.#directory, { recursive: true });
    for (const file of await readdir(registry.#directory)) {
      if (file.endsWith('.json')) await registry.#load(file.slice(0, -'.json'.length));
      // A record that was being written; the one it was to replace, if any, still holds.
      else if (file.endsWith('.json.partial'))
        await rm(join(registry.#directory, file), { force: true });
    }
    return registry;
  }

  /** VMs that could not be loaded. Their files are left alone, and their names stay taken. */
  get problems(): readonly OperatorError[] {
    return this.#problems;
  }

  /** By name. */
  list(): VmRecord[] {
    const ready = [...this.#records.values()].filter((record) => record.state === 'ready');
    return ready.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** What boots a VM. Throws OperatorError `vm-not-found`. */
  get(name: string): VmInfo {
    const record = this.#records.get(name);
    if (record?.state !== 'ready') throw notFound(name);
    return this.#infoOf(record);
  }

  /**
   * Creates a VM of `sizeBytes`, by default as large as the image. Throws OperatorError `vm-name-invalid`, `vm-size-invalid`,
   * `vm-exists`, and what createOverlay throws; nothing is then left.
   */
  async create(image: VmImage, name: string, sizeBytes = image.length): Promise<VmInfo> {
    requireName(name);
    requireSize(name, sizeBytes, image);
    if (this.#records.has(name) || this.#busy.has(name)) throw exists(name);
    return await this.#exclusively(name, () => this.#create(image, name, sizeBytes));
  }

  /**
   * Removes a VM and what it wrote; resolves to what it was. Throws OperatorError `vm-not-found`, `vm-busy`, or, unless
   * `force`, `vm-running` when a QEMU has its overlay open.
   */
  async remove(name: string, { force = false } = {}): Promise<VmRecord> {
    if (this.#busy.has(name)) {
      throw new OperatorError(
        'vm-busy',
        `VM ${name} is being created or removed`,
        'Try again in a moment.',
      );
    }
    // In whatever state: one whose removal failed is removed again.
    const record = this.#records.get(name);
    if (record === undefined) throw notFound(name);
    return await this.#exclusively(name, async () => {
      if (!force && (await isOverlayInUse(record.overlay))) throw running(name);
      await this.#remove(record);
      return record;
    });
  }

  async #create(image: VmImage, name: string, sizeBytes: number): Promise<VmInfo> {
    const overlay = join(this.#directory, `${name}.qcow2`);
    // A record that could not be read, or an overlay that somebody put here: neither is overwritten.
    for (const path of [overlay, this.#recordPath(name)]) {
      if (await isThere(path)) throw exists(name);
    }
    const record: VmRecord = {
      state: 'creating',
      name,
      image: image.id,
      imageName: image.name,
      overlay,
      sizeBytes,
      socket: this.#nbdSocketPath,
      export: `${image.id}@${name}`,
      createdAt: new Date().toISOString(),
    };
    try {
      await this.#write(record);
      const backing = { socketPath: record.socket, exportName: record.export };
      await createOverlay({ path: overlay, virtualSize: sizeBytes, backing });
      return this.#infoOf(await this.#write({ ...record, state: 'ready' }));
    } catch (error) {
      await this.#delete(record);
      throw writeError(name, error);
    }
  }

  /** ready → removing → gone: a crash in between is finished by the next start. */
  async #remove(record: VmRecord): Promise<void> {
    try {
      await this.#write({ ...record, state: 'removing' });
    } catch (error) {
      // A full disk must not keep a VM from being removed. Without the note, a crash now leaves the VM listed or gone.
      if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') {
        throw writeError(record.name, error);
      }
    }
    await this.#delete(record);
  }

  async #load(name: string): Promise<void> {
    try {
      const record = await readRecord(this.#recordPath(name));
      if (record.name !== name || !VM_NAME.test(name)) throw misplaced(this.#recordPath(name));
      // The directory may have been moved; the record goes where its overlay is.
      const overlay = join(this.#directory, `${name}.qcow2`);
      const isWhole = record.state === 'ready' && (await isThere(overlay));
      if (isWhole) this.#records.set(name, { ...record, overlay });
      else await this.#delete({ ...record, overlay });
    } catch (error) {
      this.#problems.push(writeError(name, error));
    }
  }

  async #write(record: VmRecord): Promise<VmRecord> {
    await writeRecord(this.#recordPath(record.name), record);
    this.#records.set(record.name, record);
    return record;
  }

  /** The record goes last: until then the next start knows what is left to do. */
  async #delete(record: VmRecord): Promise<void> {
    await deleteOverlay(record.overlay);
    await rm(this.#recordPath(record.name), { force: true });
    await rm(`${this.#recordPath(record.name)}.partial`, { force: true });
    this.#records.delete(record.name);
  }

  async #exclusively<T>(name: string, operation: () => Promise<T>): Promise<T> {
    this.#busy.add(name);
    try {
      return await operation();
    } finally {
      this.#busy.delete(name);
    }
  }

  #recordPath(name: string): string {
    return join(this.#directory, `${name}.json`);
  }

  #infoOf(record: VmRecord): VmInfo {
    const backing = { socketPath: record.socket, exportName: record.export };
    return {
      name: record.name,
      image: record.image,
      imageName: record.imageName,
      overlay: record.overlay,
      socket: record.socket,
      export: record.export,
      qemuCommand: qemuCommand({
        name: record.name,
        overlayPath: record.overlay,
        accelerators: this.#accelerators,
      }),
      libvirtDiskXml: libvirtDiskXml({ overlayPath: record.overlay, backing }),
    };
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    // Anything else may be a disk that is out of order: not a reason to take a VM for gone.
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function requireName(name: string): void {
  if (VM_NAME.test(name)) return;
  throw new OperatorError(
    'vm-name-invalid',
    `${JSON.stringify(name.slice(0, 100))} is not a name for a VM`,
    'Use 1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit.',
  );
}

function requireSize(name: string, sizeBytes: number, image: VmImage): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes >= image.length && sizeBytes <= VM_SIZE_MAX) {
    return;
  }
  throw new OperatorError(
    'vm-size-invalid',
    `the disk of VM ${name} cannot have ${sizeBytes} bytes`,
    `Give at least the ${image.length} bytes of the image and at most ${VM_SIZE_MAX}.`,
  );
}

function notFound(name: string): OperatorError {
  return new OperatorError(
    'vm-not-found',
    `there is no VM ${JSON.stringify(name.slice(0, 100))} on this node`,
    'List the VMs of this node, and mind that names are case-sensitive.',
  );
}

function exists(name: string): OperatorError {
  return new OperatorError(
    'vm-exists',
    `there is already a VM ${name}, or files of one, on this node`,
    'Choose another name, or remove that VM first.',
  );
}

function running(name: string): OperatorError {
  return new OperatorError(
    'vm-running',
    `VM ${name} is running: its overlay is in use`,
    'Shut it down first, or force the removal, which takes the disk from under it.',
  );
}

function misplaced(path: string): OperatorError {
  return new OperatorError(
    'vm-record-unreadable',
    `${path} is the record of a VM of another name`,
    'Rename it back, or move it away.',
  );
}

function writeError(name: string, error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  return new OperatorError(
    errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT' ? 'disk-full' : 'vm-unwritable',
    `cannot keep the files of VM ${name}: ${messageOf(error)}`,
    'Check the free space and the permissions of the data directory of the agent.',
    { cause: error },
  );
}
