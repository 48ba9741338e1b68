/**
 * Turns a qcow2 image into the flat raw disk inside it, with qemu-img, after its header has passed parseQcow2Header. qemu-img
 * gets the open file and its format by name, is told to use no backing file whatever the header says by then, and may write
 * no more than the disk.
 */
import { dirname } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import { diskFull } from './image-error.ts';
import type { LocalFile } from './local-file.ts';
import type { Qcow2Header } from './qcow2-header.ts';
import { cpuSeconds, ProgressText } from './qemu-img.ts';
import type { SparseFile } from './sparse-file.ts';
import { INPUT_PATH, runTool, type ToolResult } from './tool.ts';

export interface FlattenOptions {
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fills `target` with the disk inside `source`. `name` is what the image is called in errors. Throws OperatorError
 * `qcow2-damaged`, `source-in-use` (a VM has it open for writing), `source-changed`, `disk-full`, `flatten-failed`,
 * `tool-missing`; when aborted, the signal's reason, once qemu-img is gone.
 */
export async function flattenQcow2(
  name: string,
  source: LocalFile,
  header: Qcow2Header,
  target: SparseFile,
  { onProgress, signal }: FlattenOptions,
): Promise<void> {
  await checkTables(name, source, signal);
  const progress = new ProgressText((fraction) => {
    onProgress?.(Math.floor(fraction * header.virtualSize), header.virtualSize);
  });
  const result = await runTool({
    // -S: blocks of 64 KiB of zeros become holes, as they do in every other copy here.
    command: ['qemu-img', 'convert', '-p', '-S', '64k', '-O', 'raw', IMAGE, target.partialPath],
    inputFd: source.fd,
    limits: {
      cpuSeconds: cpuSeconds(Math.max(source.length, header.virtualSize)),
      fileLengthMax: header.virtualSize,
    },
    onOutput: (text) => progress.push(text),
    signal,
  });
  if (result.exitCode !== 0) throw conversionError(name, target, result);
  await source.requireUnchanged();
  const length = await target.length();
  if (length !== header.virtualSize) {
    throw flattenFailed(name, `${length} bytes came out, not ${header.virtualSize}`);
  }
  onProgress?.(length, length);
}

/** The file is descriptor 3; `backing: null` outranks the header. */
const IMAGE = `json:${JSON.stringify({
  driver: 'qcow2',
  backing: null,
  file: { driver: 'file', filename: INPUT_PATH },
})}`;

/** `qemu-img check`'s exit codes; 3, leaked clusters, harms nobody who reads. */
const CHECK_FINE = new Set([0, 3]);
const CHECK_CORRUPT = 2;

/**
 * Has the L1, L2 and refcount tables checked. Without it a file that was cut short converts without an error, with zeros where
 * its end was (QEMU 7.2), and one crafted to share clusters is read again and again.
 */
async function checkTables(name: string, source: LocalFile, signal?: AbortSignal): Promise<void> {
  const result = await runTool({
    command: ['qemu-img', 'check', IMAGE],
    inputFd: source.fd,
    limits: { cpuSeconds: cpuSeconds(source.length), fileLengthMax: 0 },
    signal,
  });
  if (result.exitCode !== undefined && CHECK_FINE.has(result.exitCode)) return;
  requireUnlocked(name, result);
  const why = firstLine(result);
  if (result.exitCode !== CHECK_CORRUPT) throw flattenFailed(name, why);
  throw new OperatorError(
    'qcow2-damaged',
    `${name} is not a consistent qcow2 image: ${why}`,
    'Take the image from its origin again: it may have been cut short. Or repair a copy with qemu-img check -r all.',
  );
}

function conversionError(name: string, target: SparseFile, result: ToolResult): OperatorError {
  requireUnlocked(name, result);
  if (/No space left on device|Disk quota exceeded/.test(result.stderr)) {
    return diskFull(dirname(target.path));
  }
  return flattenFailed(name, firstLine(result));
}

function requireUnlocked(name: string, result: ToolResult): void {
  if (!/Failed to get .* lock/.test(result.stderr)) return;
  throw new OperatorError(
    'source-in-use',
    `${name} is open for writing in another program, probably a running VM`,
    'Stop the VM, or publish a copy made with qemu-img convert.',
  );
}

function flattenFailed(name: string, why: string): OperatorError {
  return new OperatorError(
    'flatten-failed',
    `qemu-img cannot convert ${name} to a flat disk: ${why}`,
    'Run qemu-img check on the image; if it is sound, convert it to raw by hand and publish that.',
  );
}

function firstLine({ exitCode, stderr }: ToolResult): string {
  const line = stderr.split('\n', 1)[0];
  if (line !== '') return line;
  return exitCode === undefined ? 'it used more than its share of CPU time' : `exit ${exitCode}`;
}
