/**
 * The VMs of this node: creates, lists and removes their overlays, and remembers them over restarts and crashes in DIR/vms as
 * NAME.json and NAME.qcow2. Knows images by id and length only: no swarm, no NBD connection.
 */
import { access, mkdir, readdir, rm } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import {
  type Accelerator,
  createOverlay,
  deleteOverlay,
  isOverlayInUse,
  isSocketPath,
  libvirtDiskXml,
  qemuCommand,
  SOCKET_PATH_LENGTH_MAX,
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

export interface VmCreation {
  readonly sizeBytes?: number;
  readonly qmp?: string;
}

/** Writes the record of the VM that is being changed; resolves once it is on disk. */
export type SaveRecord = (record: VmRecord) => Promise<VmRecord>;

/** 64 TiB, as large as an image can be. */
const VM_SIZE_MAX = 64 * 1024 ** 4;

export class VmRegistry {
  readonly nbdSocketPath: string;
  readonly #directory: string;
  readonly #accelerators: readonly Accelerator[] | undefined;
  readonly #records = new Map<string, VmRecord>();
  /** Names with an operation under way, which a second one must not overtake. */
  readonly #busy = new Set<string>();
  readonly #problems: OperatorError[] = [];

  private constructor(options: VmRegistryOptions) {
    this.#directory = join(resolve(options.directory), 'vms');
    this.nbdSocketPath = options.nbdSocketPath;
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
   * Creates a VM of `sizeBytes`, by default as large as the image. `qmp`: where its QEMU is to make its QMP socket; default:
   * beside the overlay, where QEMU may write and which is there before the agent is. Throws OperatorError `vm-name-invalid`,
   * `vm-size-invalid`, `vm-qmp-invalid`, `vm-exists`, and what createOverlay throws; nothing is then left.
   */
  async create(image: VmImage, name: string, options: VmCreation = {}): Promise<VmInfo> {
    const { sizeBytes = image.length, qmp } = options;
    requireName(name);
    requireSize(name, sizeBytes, image);
    if (qmp !== undefined) requireSocketPath(qmp);
    if (this.#records.has(name) || this.#busy.has(name)) throw exists(name);
    return await this.#exclusively(name, () => this.#create(image, name, sizeBytes, qmp));
  }

  /** Where the VM's QEMU makes its QMP socket; undefined when that has no room for a name so long. */
  qmpSocketPath({ name, qmp }: VmRecord): string | undefined {
    const path = qmp ?? this.#defaultQmpPath(name);
    return isSocketPath(path) ? path : undefined;
  }

  /**
   * Changes what the record of a VM says, and what it is about; nothing else happens to the VM meanwhile. Throws OperatorError
   * `vm-not-found`, `vm-busy`, and what `operation` throws.
   */
  async change(
    name: string,
    operation: (record: VmRecord, save: SaveRecord) => Promise<VmRecord>,
  ): Promise<VmRecord> {
    this.#requireIdle(name);
    const record = this.#records.get(name);
    if (record?.state !== 'ready') throw notFound(name);
    return await this.#exclusively(name, () =>
      operation(record, async (changed) => {
        try {
          return await this.#write(changed);
        } catch (error) {
          throw writeError(name, error);
        }
      }),
    );
  }

  /** Whether a VM reads this image, by whatever way. */
  needsImage(imageId: string): boolean {
    return this.list().some(({ image, backing }) => image === imageId && backing !== 'none');
  }

  /**
   * Whether a VM reads this image's file in the cache, or may: then the file stays as it is and where it is. True from before the
   * file is looked at until no VM reads it, over restarts too. A VM that could not be loaded may read any.
   */
  isPinned(imageId: string): boolean {
    if (this.#problems.length > 0) return true;
    for (const { image, backing, isMoving } of this.#records.values()) {
      if (image === imageId && (backing === 'local' || isMoving === true)) return true;
    }
    return false;
  }

  /**
   * Removes a VM and what it wrote; resolves to what it was. Throws OperatorError `vm-not-found`, `vm-busy`, or, unless
   * `force`, `vm-running` when a QEMU has its overlay open.
   */
  async remove(name: string, { force = false } = {}): Promise<VmRecord> {
    this.#requireIdle(name);
    // In whatever state: one whose removal failed is removed again.
    const record = this.#records.get(name);
    if (record === undefined) throw notFound(name);
    return await this.#exclusively(name, async () => {
      if (!force && (await isOverlayInUse(record.overlay))) throw running(name);
      await this.#remove(record);
      return record;
    });
  }

  #requireIdle(name: string): void {
    if (!this.#busy.has(name)) return;
    throw new OperatorError(
      'vm-busy',
      `VM ${name} is being created, moved or removed`,
      'Try again in a moment.',
    );
  }

  async #create(
    image: VmImage,
    name: string,
    sizeBytes: number,
    qmp: string | undefined,
  ): Promise<VmInfo> {
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
      socket: this.nbdSocketPath,
      export: `${image.id}@${name}`,
      createdAt: new Date().toISOString(),
      backing: 'swarm',
      qmp,
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
    await rm(this.#defaultQmpPath(record.name), { force: true });
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

  #defaultQmpPath(name: string): string {
    return join(this.#directory, `${name}.qmp`);
  }

  #infoOf(record: VmRecord): VmInfo {
    const qmp = this.qmpSocketPath(record);
    return {
      name: record.name,
      image: record.image,
      imageName: record.imageName,
      overlay: record.overlay,
      socket: record.socket,
      export: record.export,
      sizeBytes: record.sizeBytes,
      backing: record.backing,
      ...(qmp !== undefined && { qmp }),
      qemuCommand: qemuCommand({
        name: record.name,
        overlayPath: record.overlay,
        accelerators: this.#accelerators,
        qmpSocketPath: qmp,
      }),
      libvirtDiskXml: libvirtDiskXml({ overlayPath: record.overlay, backing: backingOf(record) }),
    };
  }
}

function backingOf({ backing, socket, export: exportName, imagePath }: VmRecord) {
  if (backing === 'none') return undefined;
  return imagePath === undefined ? { socketPath: socket, exportName } : { imagePath };
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

function requireSocketPath(path: string): void {
  if (isAbsolute(path) && isSocketPath(path)) return;
  throw new OperatorError(
    'vm-qmp-invalid',
    `${JSON.stringify(path.slice(0, 200))} is no path for a QMP socket`,
    `Give an absolute path of at most ${SOCKET_PATH_LENGTH_MAX} bytes.`,
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
