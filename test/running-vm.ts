/** A real QEMU without a guest, or with one, whose disk a test reads through QEMU, as the guest would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { QmpClient } from '@bootswarm/qemu';

export class RunningVm {
  readonly qmp: QmpClient;
  readonly #child: ChildProcess;
  readonly #qmpPath: string;

  private constructor(child: ChildProcess, qmp: QmpClient, qmpPath: string) {
    this.#child = child;
    this.qmp = qmp;
    this.#qmpPath = qmpPath;
  }

  /** Ends with an error when QEMU does. `command` has a -qmp option with a unix socket. */
  static async start(command: readonly string[], ...more: string[]): Promise<RunningVm> {
    const [program, ...args] = command;
    const qmpPath = /^unix:([^,]*)/.exec(args[args.indexOf('-qmp') + 1])![1];
    const watcher = watch(dirname(qmpPath));
    const listening = new Promise<void>((resolve) => {
      watcher.on('change', (_, name) => name === basename(qmpPath) && resolve());
    });
    const child = spawn(program, [...args, ...more], { stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      told += text;
    });
    const ended = once(child, 'exit').then(() => {
      throw new Error(`QEMU ended: ${told}`);
    });
    ended.catch(() => {});
    try {
      await Promise.race([listening, ended]);
      return new RunningVm(child, await openQmp(qmpPath, () => child.exitCode !== null), qmpPath);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      watcher.close();
    }
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** QEMU serves one QMP client: while this one is away, another may come. */
  async withoutQmp<T>(during: () => Promise<T>): Promise<T> {
    this.qmp.close();
    try {
      return await during();
    } finally {
      Object.assign(this, { qmp: await openQmp(this.#qmpPath, () => !this.isRunning) });
    }
  }

  /** MD5 of the whole disk, as this QEMU reads it now. */
  async md5(): Promise<string> {
    const socket = `${this.#qmpPath}.nbd`;
    const execute = (command: string, args: Record<string, unknown> = {}) =>
      this.qmp.execute({ execute: command, arguments: args });
    await execute('nbd-server-start', { addr: { type: 'unix', data: { path: socket } } });
    await execute('block-export-add', { type: 'nbd', id: 'disk', 'node-name': 'overlay' });
    const uri = `nbd+unix:///overlay?socket=${socket}`;
    const reader = spawn('nbdcopy', [uri, '-'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const hash = createHash('md5');
    for await (const chunk of reader.stdout) hash.update(chunk as Buffer);
    if (reader.exitCode === null) await once(reader, 'exit');
    if (reader.exitCode !== 0) throw new Error('the disk could not be read');
    await execute('nbd-server-stop');
    return hash.digest('hex');
  }

  async quit(): Promise<void> {
    if (!this.isRunning) return;
    const exited = once(this.#child, 'exit');
    await this.qmp.execute({ execute: 'quit' }).catch(() => this.#child.kill('SIGKILL'));
    await exited;
    this.qmp.close();
  }

  async kill(): Promise<void> {
    this.qmp.close();
    if (!this.isRunning) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

/** Between bind() and listen() the socket is there and refuses. */
async function openQmp(path: string, isOver: () => boolean): Promise<QmpClient> {
  for (;;) {
    try {
      return await QmpClient.open({ path });
    } catch (error) {
      if ((error as { code?: string }).code !== 'qmp-unreachable' || isOver()) throw error;
    }
  }
}
