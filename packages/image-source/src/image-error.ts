/** What went wrong with an image, as a person is told: one OperatorError per cause, so that codes and hints agree everywhere. */
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';

/** A failed write to `directory`: `disk-full` or `target-unwritable`. What is no system error is returned as it is. */
export function targetError(directory: string, error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return diskFull(directory, error);
  return new OperatorError(
    'target-unwritable',
    `cannot write the image to ${directory}: ${messageOf(error)}`,
    'Check the directory, its permissions and its file system, then publish again.',
    { cause: error },
  );
}

export function diskFull(directory: string, cause?: unknown): OperatorError {
  return new OperatorError(
    'disk-full',
    `no space left in ${directory} while writing the image`,
    'Free space there or choose another directory, then publish again; nothing was kept.',
    { cause },
  );
}

export function sourceChanged(source: string, how: string): OperatorError {
  return new OperatorError(
    'source-changed',
    `${source} changed while it was read: ${how}`,
    'Publish it again once nothing writes to it.',
  );
}

export function sourceNotFound(source: string, why: string): OperatorError {
  return new OperatorError(
    'source-not-found',
    `${source} does not exist: ${why}`,
    source.startsWith('/')
      ? `Check the path: it is one on the host of the tracker.${hiddenFromUnit(source)}`
      : 'Check where the image is: nothing is there.',
  );
}

/** What bootswarm-tracker.service does not see of its host, so that a person sees a file there that we do not. */
function hiddenFromUnit(path: string): string {
  if (/^(\/var)?\/tmp\//.test(path)) {
    return ' Under systemd the tracker has a /tmp of its own: put the image elsewhere.';
  }
  if (!path.startsWith('/dev/')) return '';
  return ' Under systemd the tracker sees no devices, unless a drop-in says PrivateDevices=no.';
}

export function imageEmpty(source: string): OperatorError {
  return new OperatorError(
    'image-empty',
    `${source} has no bytes`,
    'Check that this is the image you meant to publish.',
  );
}

export function imageTooLarge(source: string, length: number, lengthMax: number): OperatorError {
  return new OperatorError(
    'image-too-large',
    `${source} has ${length} bytes; the limit is ${lengthMax}`,
    'Check that this is the image you meant to publish.',
  );
}
