/** A real QEMU without a guest, or with one, whose disk a test reads through QEMU, as the guest would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { QmpClient } from '@bootswarm/qemu';

export class RunningVm {
  readonly #child: ChildProcess;
  readonly #qmpPath: string;

  private constructor(child: ChildProcess, qmpPath: string) {
    this.#child = child;
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
      const vm = new RunningVm(child, qmpPath);
      await vm.withQmp(async () => {});
      return vm;
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

  /** QEMU serves one QMP client at a time, and others may come in between. */
  async withQmp<T>(use: (qmp: QmpClient) => Promise<T>): Promise<T> {
    const qmp = await openQmp(this.#qmpPath, () => !this.isRunning);
    try {
      return await use(qmp);
    } finally {
      qmp.close();
    }
  }

  /** MD5 of the whole disk, as this QEMU reads it now. */
  md5(): Promise<string> {
    return this.withQmp(async (qmp) => {
      const path = `${this.#qmpPath}.nbd`;
      const execute = (command: string, args: Record<string, unknown> = {}) =>
        qmp.execute({ execute: command, arguments: args });
      await execute('nbd-server-start', { addr: { type: 'unix', data: { path } } });
      await execute('block-export-add', { type: 'nbd', id: 'disk', 'node-name': 'overlay' });
      const hash = await md5Of(`nbd+unix:///overlay?socket=${path}`);
      await execute('nbd-server-stop');
      return hash;
    });
  }

  async quit(): Promise<void> {
    if (!this.isRunning) return;
    const exited = once(this.#child, 'exit');
    await this.withQmp((qmp) => qmp.execute({ execute: 'quit' })).catch(() => {
      this.#child.kill('SIGKILL');
    });
    await exited;
  }

  async kill(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

async function md5Of(uri: string): Promise<string> {
  const reader = spawn('nbdcopy', [uri, '-'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(reader, 'exit');
  const hash = createHash('md5');
  for await (const chunk of reader.stdout) hash.update(chunk as Buffer);
  const [code] = await exited;
  if (code !== 0) throw new Error(`the disk ${uri} could not be read`);
  return hash.digest('hex');
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
