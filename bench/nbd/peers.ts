/** The servers that ours is measured beside, each on a unix socket over the same raw file, as read-only as ours. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../../test/cluster.ts';

export interface Peer {
  readonly name: string;
  readonly uri: string;
  stop(): Promise<void>;
}

const UP_MS = 10_000;

/** Rejects when one of them is not installed or does not come up. */
export async function startPeers(directory: string, path: string): Promise<Peer[]> {
  const nbdkit = join(directory, 'nbdkit.sock');
  const qemu = join(directory, 'qemu-nbd.sock');
  return [
    await start('nbdkit file', 'nbdkit', ['-f', '-r', '-U', nbdkit, 'file', path], nbdkit),
    await start(
      'qemu-nbd',
      'qemu-nbd',
      ['-t', '-r', '-f', 'raw', '-e', '64', '--cache=writeback', '-k', qemu, path],
      qemu,
    ),
    await startNbdServer(directory, path),
  ];
}

async function start(
  name: string,
  program: string,
  args: readonly string[],
  socket: string,
): Promise<Peer> {
  const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr!.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(-2_000);
  });
  let failure: string | undefined;
  child.on('error', ({ message }) => {
    failure = message;
  });
  await until(
    `${name} listens`,
    () => {
      if (child.exitCode !== null) failure = `it ended: ${said}`;
      if (failure !== undefined) throw new Error(`${name} does not start: ${failure}`);
      return existsSync(socket);
    },
    UP_MS,
  );
  return {
    name,
    uri: uriOf('', socket),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** It makes itself a daemon, whose process id is in a file. */
async function startNbdServer(directory: string, path: string): Promise<Peer> {
  const socket = join(directory, 'nbd-server.sock');
  const config = join(directory, 'nbd-server.conf');
  const pidFile = join(directory, 'nbd-server.pid');
  // A port of 0 would make it serve its standard input instead.
  const generic = `[generic]\nunixsock = ${socket}\nport = 10809\n`;
  writeFileSync(config, `${generic}[image]\nexportname = ${path}\nreadonly = true\n`);
  await promisify(execFile)('nbd-server', ['-C', config, '-p', pidFile]);
  const pid = await until('nbd-server runs', () => {
    return existsSync(pidFile) && Number(readFileSync(pidFile, 'utf8'));
  });
  return {
    name: 'nbd-server',
    uri: uriOf('image', socket),
    stop: async () => {
      process.kill(pid, 'SIGTERM');
    },
  };
}

function uriOf(exportName: string, socket: string): string {
  return `nbd+unix:///${exportName}?socket=${socket}`;
}
