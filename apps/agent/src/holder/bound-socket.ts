/**
 * A socket that is bound by this process and listened on by its children, which inherit the descriptor. It lives as long as one
 * process holds it, so what connects while no child runs waits in the kernel for the next. Who the children are is
 * socket-holder.ts's matter.
 */

import { lookup } from 'node:dns/promises';
import { chmodSync } from 'node:fs';
import net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import { claimSocketPath, NBD_SOCKET_MODE } from '../nbd/socket-path.ts';

export interface BoundSocket {
  readonly fd: number;
  /** The last holder's close ends the socket, and removes the path of a unix socket. */
  close(): void;
}

interface BoundHandle extends BoundSocket {
  getsockname?(out: { port?: number }): number;
}

/**
 * node:cluster's own way to bind without listening: net.Server does both at once, and would take the connections that are meant
 * for the children. Not documented, and unchanged since Node 0.12; what it gives is checked below and by its test.
 */
const { _createServerHandle: bindHandle } = net as unknown as {
  _createServerHandle(
    address: string,
    port: number,
    family: number,
    fd?: number,
    flags?: number,
  ): BoundHandle | number;
};

/** Over nothing but a stale socket. Throws OperatorError, see claimSocketPath(). */
export async function bindNbdSocket(path: string): Promise<BoundSocket> {
  await claimSocketPath(path);
  const handle = bindHandle(path, -1, -1);
  if (typeof handle === 'number') {
    throw new OperatorError(
      'socket-unavailable',
      `Cannot bind ${path}: ${getSystemErrorName(handle)}`,
      'Give a run directory that the agent may write to.',
    );
  }
  // Nobody can connect before a child listens.
  chmodSync(path, NBD_SOCKET_MODE);
  return handle;
}

/** Port 0 takes a free one. Throws OperatorError `peer-port-unavailable`. */
export async function bindPeerSocket(host: string, port: number): Promise<BoundSocket> {
  const unavailable = (reason: string): OperatorError =>
    new OperatorError(
      'peer-port-unavailable',
      `Cannot listen for peers on ${host.includes(':') ? `[${host}]` : host}:${port}: ${reason}`,
      'Choose another peer address or port, or stop what uses it.',
    );
  const { address, family } = await lookup(host).catch((error: unknown) => {
    throw unavailable(messageOf(error));
  });
  const handle = bindHandle(address, port, family, undefined, 0);
  if (typeof handle === 'number') throw unavailable(getSystemErrorName(handle));
  // libuv tells of an address in use only when it listens; such a socket is bound to nothing.
  const bound: { port?: number } = {};
  const error = handle.getsockname?.(bound) ?? 0;
  if (
    error === 0 &&
    bound.port !== undefined &&
    (port === 0 ? bound.port > 0 : bound.port === port)
  )
    return handle;
  handle.close();
  throw unavailable(error === 0 ? 'EADDRINUSE' : getSystemErrorName(error));
}
