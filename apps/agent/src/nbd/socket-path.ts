/**
 * Decides whether a unix socket may be bound at a path: not over anything but a stale socket, and never from under a process
 * that still serves it. Binding is the listener's.
 */
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { errnoOf, OperatorError } from '@bootswarm/stdx';

/** sockaddr_un.sun_path is 108 bytes with the terminating NUL. */
const SOCKET_PATH_LENGTH_MAX = 107;
/** The group may connect: the agent runs in the group of the QEMU processes, or they in the agent's. */
export const NBD_SOCKET_MODE = 0o660;

/** Makes `path` free to bind, removing a stale socket; throws OperatorError if it cannot be. */
export async function claimSocketPath(path: string): Promise<void> {
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_LENGTH_MAX) {
    throw new OperatorError(
      'socket-path-too-long',
      `socket path ${path} has ${length} bytes, and unix sockets allow ${SOCKET_PATH_LENGTH_MAX}`,
      'Choose a shorter run directory.',
    );
  }
  const kind = await kindOf(path);
  if (kind === 'nothing') return;
  if (kind === 'other') {
    throw new OperatorError(
      'socket-path-occupied',
      `${path} exists and is not a socket`,
      'Move it away, or choose another socket path.',
    );
  }
  if (await isServed(path)) {
    throw new OperatorError(
      'socket-in-use',
      `another process serves ${path}`,
      'Stop the other agent, or give this one a run directory of its own.',
    );
  }
  await unlink(path);
}

/** A symbolic link counts as 'other', wherever it points: we bind only what we were told to. */
async function kindOf(path: string): Promise<'nothing' | 'socket' | 'other'> {
  try {
    return (await lstat(path)).isSocket() ? 'socket' : 'other';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'nothing';
    throw error;
  }
}

/** Only a refused connection proves that nobody listens; a full backlog or a missing permission does not. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error) => resolve(errnoOf(error) !== 'ECONNREFUSED'));
  });
}
