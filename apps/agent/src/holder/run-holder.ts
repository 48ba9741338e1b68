/** Starts a socket holder from its options: the sockets are bound and its log is wired here and nowhere else. */
import { closeSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { LOG_HOOKS } from '@bootswarm/stdx';
import pino, { type Logger } from 'pino';
import { mountFuse } from '../fuse/fuse-mount.ts';
import { openFilesDir } from '../fuse/open-files.ts';
import type { HeldSockets } from './agent-process.ts';
import { type BoundSocket, bindNbdSocket, bindPeerSocket } from './bound-socket.ts';
import type { InheritedSockets } from './inherited-sockets.ts';
import { type HolderEvent, SocketHolder } from './socket-holder.ts';

export interface HolderOptions {
  readonly runDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Where images are mounted as files; none: nowhere. */
  readonly fuseDir?: string;
  /** Sockets of systemd, which are handed on. */
  readonly inherited?: InheritedSockets;
  /** Arguments of Node that start an agent with these options. */
  readonly command: readonly string[];
  readonly logLevel: string;
}

export interface RunningHolder {
  /** The exit code of the agent, which has ended on purpose. */
  readonly ended: Promise<number>;
  /** Asks the agent to end. */
  stop(signal: NodeJS.Signals): void;
}

/** Throws OperatorError when a socket cannot be bound. */
export async function runHolder(options: HolderOptions): Promise<RunningHolder> {
  const { runDir, command, logLevel } = options;
  const log = pino(
    { name: 'holder', level: logLevel, hooks: LOG_HOOKS },
    pino.destination({ fd: 2, sync: true }),
  );
  mkdirSync(runDir, { recursive: true, mode: 0o750 });
  const sockets = await openSockets(options);
  const onEvent = (event: HolderEvent): void => logEvent(log, event);
  const holder = new SocketHolder({ sockets, command, onEvent });
  return { ended: holder.run(), stop: (signal) => holder.stop(signal) };
}

/** All of them, or none. */
async function openSockets(options: HolderOptions): Promise<HeldSockets> {
  const { runDir, listen, fuseDir, inherited } = options;
  const opened: BoundSocket[] = [];
  const keep = (socket: BoundSocket): BoundSocket => {
    opened.push(socket);
    return socket;
  };
  const given = (fd: number | undefined) => fd !== undefined && { fd, close: () => {} };
  try {
    const peers = keep(given(inherited?.peers) || (await bindPeerSocket(listen.host, listen.port)));
    const nbd = keep(given(inherited?.nbd) || (await bindNbdSocket(join(runDir, 'nbd.sock'))));
    if (fuseDir === undefined) return [nbd, peers];
    const { fd, unmount } = mountFuse(fuseDir, openFilesDir(runDir));
    const close = (): void => {
      unmount();
      closeSync(fd);
    };
    return [nbd, peers, keep({ fd, close })];
  } catch (error) {
    for (const socket of opened) socket.close();
    throw error;
  }
}

function logEvent(log: Logger, { type, ...told }: HolderEvent): void {
  switch (type) {
    case 'serving':
      log.debug(told, 'agent serves');
      return;
    case 'agent-died':
      log.error(told, 'agent died, the next takes over');
      return;
    case 'successor-waits':
      log.debug(told, 'successor waits');
      return;
    case 'upgrade-failed':
      log.error(told, 'the new agent did not come up, the old one serves on');
      return;
    case 'successor-died':
      log.warn(told, 'successor died before its turn');
      return;
    case 'upgrading':
      log.info(told, 'upgrading the agent');
  }
}
