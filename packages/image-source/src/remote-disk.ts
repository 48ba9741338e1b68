/**
 * Copies a disk that QEMU's block drivers reach (RBD, iSCSI, NBD) into a file, byte for byte: qemu-img is always told `raw`, so
 * that no header in the disk is followed. Reads it twice: nothing else tells whether somebody wrote to it meanwhile.
 */
import { OperatorError } from '@bootswarm/stdx';
import { imageEmpty, imageTooLarge, sourceChanged } from './image-error.ts';
import { cpuSeconds, ProgressText } from './qemu-img.ts';
import type { RemoteDisk } from './source-location.ts';
import type { SparseFile } from './sparse-file.ts';
import { runTool, type ToolResult } from './tool.ts';

export interface RemoteDiskOptions {
  readonly lengthMax: number;
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void;
  readonly signal?: AbortSignal;
}

/** To connect, log in and tell the size. */
const OPEN_MS_MAX = 60_000;
/** `qemu-img compare`: the images differ. */
const COMPARE_DIFFERENT = 1;

/**
 * Fills `target`. What `target` then holds is what the disk held at the moment the first reading ended. Throws OperatorError
 * `source-unavailable`, `source-changed`, `image-empty`, `image-too-large`, `tool-missing`; when aborted, the signal's reason.
 */
export async function copyRemoteDisk(
  { blockdev, name }: RemoteDisk,
  target: SparseFile,
  { lengthMax, onProgress, signal }: RemoteDiskOptions,
): Promise<void> {
  const image = `json:${JSON.stringify({ driver: 'raw', 'read-only': true, file: blockdev })}`;
  const length = await lengthOf(name, image, signal);
  if (length === 0) throw imageEmpty(name);
  if (length > lengthMax) throw imageTooLarge(name, length, lengthMax);
  const limits = { cpuSeconds: cpuSeconds(length), fileLengthMax: length };
  const progress = new ProgressText((fraction) => {
    onProgress?.(Math.floor(fraction * length), length);
  });
  const copied = await runTool({
    command: ['qemu-img', 'convert', '-p', '-S', '64k', '-O', 'raw', image, target.partialPath],
    limits,
    onOutput: (text) => progress.push(text),
    signal,
  });
  if (copied.exitCode !== 0) throw unavailable(name, copied);
  const written = await target.length();
  if (written !== length) throw sourceChanged(name, `it has ${written} bytes, not ${length}`);
  const file = { driver: 'file', filename: target.partialPath };
  const copy = `json:${JSON.stringify({ driver: 'raw', file })}`;
  const compared = await runTool({
    command: ['qemu-img', 'compare', image, copy],
    limits: { ...limits, fileLengthMax: 0 },
    signal,
  });
  if (compared.exitCode === COMPARE_DIFFERENT) {
    throw sourceChanged(name, 'a second reading gave other bytes');
  }
  if (compared.exitCode !== 0) throw unavailable(name, compared);
  onProgress?.(length, length);
}

async function lengthOf(name: string, image: string, signal?: AbortSignal): Promise<number> {
  const timeout = AbortSignal.timeout(OPEN_MS_MAX);
  let output = '';
  let result: ToolResult;
  try {
    result = await runTool({
      command: ['qemu-img', 'info', '--output=json', image],
      limits: { cpuSeconds: 60, fileLengthMax: 0 },
      onOutput: (text) => {
        output = (output + text).slice(0, OUTPUT_LENGTH_MAX);
      },
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof OperatorError) throw error;
    throw unavailable(name, { exitCode: undefined, stderr: 'it does not answer' });
  }
  const size = /"virtual-size": (\d{1,16}),/.exec(output)?.[1];
  if (result.exitCode !== 0 || size === undefined) throw unavailable(name, result);
  return Number(size);
}

/** Some 600 characters in practice. */
const OUTPUT_LENGTH_MAX = 64 * 1024;

function unavailable(name: string, { stderr, exitCode }: ToolResult): OperatorError {
  // qemu-img names the image first, in JSON that may hold paths of this host.
  const why = stderr.split('\n', 1)[0].replace(/^qemu-img: (?:Could not open '.*?': )?/, '');
  return new OperatorError(
    'source-unavailable',
    `Cannot read ${name}: ${why === '' ? `qemu-img ended with ${exitCode ?? 'a signal'}` : why}`,
    "Check it from the tracker's host with qemu-img info; for rbd: and iscsi: it needs the package qemu-block-extra.",
  );
}
