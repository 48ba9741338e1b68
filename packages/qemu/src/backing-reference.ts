/**
 * How an overlay names the export it reads through to, in the spelling that each reader needs: QEMU's json: for a qcow2 header,
 * an NBD URI for other clients. Decides how long QEMU waits for an agent that is away.
 */
import { OperatorError } from '@bootswarm/stdx';

export interface BackingReference {
  /** Absolute path of the agent's NBD socket. */
  readonly socketPath: string;
  readonly exportName: string;
}

/**
 * How long QEMU holds the guest's requests after the connection is lost, before it fails them (its default, 0, fails them at
 * once). 300 s outlast a restart, an upgrade and a rollback of the agent. Longer would help nobody: QMP `quit` waits for held
 * requests as well (QEMU 7.2), and when the delay is over rerror=stop pauses the VM instead of failing the guest, so that `cont`
 * still resumes it.
 */
export const RECONNECT_DELAY_SECONDS = 300;

/** How long QEMU waits for the agent when it starts a VM: as long, for the VMs of a host that boots before its agent does. */
export const OPEN_TIMEOUT_SECONDS = 300;

/** The longest backing file name in a qcow2 header (QEMU docs/interop/qcow2.txt). */
const BACKING_NAME_LENGTH_MAX = 1023;
/** sun_path of Linux without its final zero. */
export const SOCKET_PATH_LENGTH_MAX = 107;

/** Whether the path of a unix socket may be this long. */
export function isSocketPath(path: string): boolean {
  return Buffer.byteLength(path) <= SOCKET_PATH_LENGTH_MAX;
}

/**
 * The backing file of an overlay: a raw node over an NBD node, since a reconnect delay has no place in a URI. Throws
 * OperatorError `socket-path-too-long` or `backing-name-too-long`.
 */
export function backingFilename({ socketPath, exportName }: BackingReference): string {
  if (!isSocketPath(socketPath)) {
    throw new OperatorError(
      'socket-path-too-long',
      `the NBD socket path ${socketPath} is longer than ${SOCKET_PATH_LENGTH_MAX} bytes`,
      'Put the run directory of the agent somewhere with a shorter path, such as /run/bootswarm.',
    );
  }
  const filename = `json:${JSON.stringify({
    driver: 'raw',
    file: {
      driver: 'nbd',
      server: { type: 'unix', path: socketPath },
      export: exportName,
      'reconnect-delay': RECONNECT_DELAY_SECONDS,
      'open-timeout': OPEN_TIMEOUT_SECONDS,
    },
  })}`;
  if (Buffer.byteLength(filename) > BACKING_NAME_LENGTH_MAX) {
    throw new OperatorError(
      'backing-name-too-long',
      `the export name ${exportName} does not fit into a qcow2 header`,
      'Choose a shorter name.',
    );
  }
  return filename;
}

/** `nbd+unix:///EXPORT?socket=PATH` (NBD doc/uri.md), for nbdinfo, nbdcopy and others that have no use for a delay. */
export function nbdUri({ socketPath, exportName }: BackingReference): string {
  return `nbd+unix:///${encodeURIComponent(exportName)}?socket=${encodeURIComponent(socketPath)}`;
}
