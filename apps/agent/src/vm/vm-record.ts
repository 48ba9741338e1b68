/**
 * What the agent remembers of a VM, as a JSON file that is replaced in one step. Decides the shape and its validation; when it
 * is written and what follows from it is vm-registry.ts's.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/**
 * creating: the overlay may be half made. ready: it is complete. removing: it may be half gone. Only a record condemns an
 * overlay: one without a record is not ours to delete.
 */
export type VmState = 'creating' | 'ready' | 'removing';

/** What an overlay reads through to: an export of the agent, the image's file in the cache, or nothing. */
export type VmBacking = 'swarm' | 'local' | 'none';

export interface VmRecord {
  readonly state: VmState;
  readonly name: string;
  /** 40 hex digits. */
  readonly image: string;
  readonly imageName: string;
  /** Absolute path of the qcow2 file. */
  readonly overlay: string;
  /** Bytes the VM sees. */
  readonly sizeBytes: number;
  /** The NBD socket in the overlay's header, which need not be the one the agent listens on now. */
  readonly socket: string;
  readonly export: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** As the overlay's header has it. Records of before there was a choice do not say. */
  readonly backing: VmBacking;
  /** The image's file that the overlay reads, when `backing` is local. */
  readonly imagePath?: string;
  /** A move to the local file was begun and its end is not known: the VM may read from either. */
  readonly isMoving?: boolean;
  /** Moved back by hand: it is not moved to the local file again by itself. */
  readonly staysOnSwarm?: boolean;
  /** The QMP socket that its QEMU makes, when it was chosen by hand. */
  readonly qmp?: string;
}

export const VM_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Replaces the record at `path`; afterwards it is on disk. */
export async function writeRecord(path: string, record: VmRecord): Promise<void> {
  const partialPath = `${path}.partial`;
  {
    await using handle = await open(partialPath, 'w', 0o644);
    await handle.writeFile(`${JSON.stringify(record, undefined, 2)}\n`);
    await handle.sync();
  }
  await rename(partialPath, path);
  await using directory = await open(dirname(path));
  await directory.sync();
}

/** Reads a record. Throws OperatorError `vm-record-unreadable`. */
export async function readRecord(path: string): Promise<VmRecord> {
  try {
    return checked(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new OperatorError(
      'vm-record-unreadable',
      `cannot read the record of a VM in ${path}: ${messageOf(error)}`,
      'Restore the file, or delete it together with the overlay beside it if the VM is no longer needed.',
      { cause: error },
    );
  }
}

const STRINGS = ['name', 'image', 'imageName', 'overlay', 'socket', 'export', 'createdAt'] as const;
const OPTIONAL_STRINGS = ['imagePath', 'qmp'] as const;
const OPTIONAL_BOOLEANS = ['isMoving', 'staysOnSwarm'] as const;
const BACKINGS: readonly unknown[] = ['swarm', 'local', 'none'] satisfies VmBacking[];
const STATES: readonly unknown[] = ['creating', 'ready', 'removing'] satisfies VmState[];

function checked(value: unknown): VmRecord {
  if (typeof value !== 'object' || value === null) throw new Error('it holds no object');
  const fields = value as Record<string, unknown>;
  const wrong = STRINGS.find((field) => typeof fields[field] !== 'string');
  if (wrong !== undefined) throw new Error(`its ${wrong} is missing`);
  if (!STATES.includes(fields.state)) throw new Error('its state is unknown');
  if (!Number.isSafeInteger(fields.sizeBytes)) throw new Error('its sizeBytes is missing');
  const backing = fields.backing ?? 'swarm';
  if (!BACKINGS.includes(backing)) throw new Error('its backing is unknown');
  for (const field of OPTIONAL_STRINGS) {
    if (typeof (fields[field] ?? '') !== 'string') throw new Error(`its ${field} is no string`);
  }
  for (const field of OPTIONAL_BOOLEANS) {
    if (typeof (fields[field] ?? false) !== 'boolean')
      throw new Error(`its ${field} is no boolean`);
  }
  return { ...(value as VmRecord), backing: backing as VmBacking };
}
