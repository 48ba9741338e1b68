/**
 * QEMU's block layer without a guest: qemu-storage-daemon opens an overlay as a VM would and exports the result over NBD, to
 * programs that do not reconnect by themselves.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { until } from './cluster.ts';

export class StorageDaemon {
  readonly socket: string;
  readonly uri: string;
  readonly #child: ChildProcess;
  #log = '';

  private constructor(overlay: string, socket: string) {
    this.socket = socket;
    this.uri = `nbd+unix:///disk?socket=${socket}`;
    this.#child = spawn(
      'qemu-storage-daemon',
      [
        ...['--blockdev', `driver=file,node-name=file,filename=${overlay}`],
        ...['--blockdev', 'driver=qcow2,node-name=disk,file=file'],
        ...['--nbd-server', `addr.type=unix,addr.path=${socket}`],
        ...['--export', 'type=nbd,id=disk,node-name=disk,name=disk,writable=on'],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
  }

  /** Resolves when the export `disk` can be reached. */
  static async start(overlay: string, socket: string): Promise<StorageDaemon> {
    const daemon = new StorageDaemon(overlay, socket);
    await until('qemu-storage-daemon listens', () => {
      if (daemon.#child.exitCode !== null) throw new Error(daemon.#log);
      return existsSync(socket);
    });
    return daemon;
  }

  /** What it wrote: errors of its NBD client are told there. */
  get log(): string {
    return this.#log;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
