/** A server of somebody else on a host of the lab. Its words are shown only when it ends before it is ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { LabHost } from '../lab/network-lab.ts';

const TAIL_CHARS = 2_000;

export class PeerProcess {
  readonly #child: ChildProcess;
  #isEnding = false;

  constructor(host: LabHost, ...command: readonly string[]) {
    const [program, ...args] = [...host.prefix, ...command];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-TAIL_CHARS);
    });
    child.on('error', ({ message }) => console.error(`lab: ${command[0]}: ${message}`));
    child.on('close', (code, signal) => {
      if (this.#isEnding) return;
      console.error(`lab: ${command[0]} on ${host.name} ended with ${signal ?? code}: ${said}`);
    });
    this.#child = child;
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }
}
