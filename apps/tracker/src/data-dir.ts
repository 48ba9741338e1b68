/**
 * The tracker's data directory: where things lie in it, and that one tracker at a time uses it. What is in the files is
 * decided by those who write them.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DirectoryLock } from '@bootswarm/piece-store';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/** unix(7): sun_path has 108 bytes, the last one zero. */
const SOCKET_PATH_BYTES_MAX = 107;

export class DataDir {
  /** Absolute. */
  readonly path: string;
  readonly #lock: DirectoryLock;

  /** Makes the directory if need be and locks it. Throws OperatorError `data-dir` or `data-dir-in-use`. */
  constructor(path: string) {
    this.path = resolve(path);
    if (Buffer.byteLength(this.originSocket) > SOCKET_PATH_BYTES_MAX) {
      throw new OperatorError(
        'data-dir',
        `The path of the data directory, ${this.path}, is too long for a socket in it`,
        'Give a path of at most 95 bytes.',
      );
    }
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      this.#lock = new DirectoryLock(this.path, (holder) => inUseBy(this.path, holder));
    } catch (error) {
      if (error instanceof OperatorError) throw error;
      throw new OperatorError(
        'data-dir',
        `Cannot use ${this.path} as the data directory: ${messageOf(error)}`,
        'Give a directory that this user may write to.',
        { cause: error },
      );
    }
  }

  /** One directory per image; its name is the image id. */
  get images(): string {
    return join(this.path, 'images');
  }

  /** What is being published or deleted: of no worth after a restart. */
  get staging(): string {
    return join(this.path, 'staging');
  }

  get publisherKey(): string {
    return join(this.path, 'publisher.key');
  }

  get adminToken(): string {
    return join(this.path, 'admin.token');
  }

  get originSocket(): string {
    return join(this.path, 'origin.sock');
  }

  get originLog(): string {
    return join(this.path, 'origin.log');
  }

  unlock(): void {
    this.#lock.release();
  }
}

function inUseBy(path: string, holder: string): OperatorError {
  return new OperatorError(
    'data-dir-in-use',
    `The data directory ${path} is in use by ${holder}`,
    'Stop that tracker first, or give this one a data directory of its own.',
  );
}
