/** What goes wrong with a copy, as a person is told: one OperatorError per cause, so that codes and hints agree everywhere. */
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';

/** Of a source whose version nobody can tell, nothing is. */
const GOES_ON = 'then run the same copy again: what is kept of this one is not copied again.';

/** A failed operation on the target or its temporary files. What is no system error is returned as it is. */
export function targetError(path: string, error: unknown): unknown {
  const errno = errnoOf(error);
  if (errno === undefined || error instanceof OperatorError) return error;
  const because = { cause: error };
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new OperatorError(
      'disk-full',
      `no space left for ${path}`,
      `Free space there, ${GOES_ON}`,
      because,
    );
  }
  if (['EACCES', 'EPERM', 'EROFS'].includes(errno)) {
    return new OperatorError(
      'target-forbidden',
      `may not write ${path}: ${messageOf(error)}`,
      'Run this as a user who may write to that directory, or choose another.',
      because,
    );
  }
  if (errno === 'ENOENT' || errno === 'ENOTDIR') {
    return new OperatorError(
      'target-directory-missing',
      `cannot write ${path}: its directory does not exist`,
      'Make the directory first, or correct the path.',
      because,
    );
  }
  return new OperatorError(
    'target-unwritable',
    `cannot write ${path}: ${messageOf(error)}`,
    `Check the disk and its file system, ${GOES_ON}`,
    because,
  );
}

export function targetExists(path: string): OperatorError {
  return new OperatorError(
    'target-exists',
    `${path} exists already`,
    'Choose another name, or have it replaced with --force (option force).',
  );
}

export function sourceChanged(shown: string, how: string): OperatorError {
  return new OperatorError(
    'source-changed',
    `${shown} changed while it was copied: ${how}`,
    'Copy it again once nothing writes to it; what was copied so far has been removed.',
  );
}

export function sourceUnreadable(shown: string, error: unknown): OperatorError {
  const isMissing = errnoOf(error) === 'ENOENT';
  return new OperatorError(
    isMissing ? 'source-not-found' : 'source-unreadable',
    `cannot read ${shown}: ${messageOf(error)}`,
    isMissing ? 'Check the path.' : 'Check who may read it, and the disk it is on.',
    { cause: error },
  );
}

export function sourceEmpty(shown: string): OperatorError {
  return new OperatorError(
    'source-empty',
    `${shown} has no bytes`,
    'Check that this is the image you meant.',
  );
}

export function digestMismatch(
  shown: string,
  algorithm: string,
  expected: string,
  found: string,
): OperatorError {
  return new OperatorError(
    'digest-mismatch',
    `${shown} is not what was expected: its ${algorithm} is ${found}, not ${expected}`,
    'Check the digest and the source; nothing was put in place.',
  );
}

export function cancelled(shown: string, isKept: boolean): OperatorError {
  return new OperatorError(
    'copy-cancelled',
    `the copy of ${shown} was cancelled`,
    isKept
      ? `Nothing to do; ${GOES_ON.slice(5)}`
      : 'Nothing to do: what was copied so far has been removed.',
  );
}
