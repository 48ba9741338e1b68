/** A `bootswarm` daemon on a host of the lab: its ready line, its log, and what it has cost. Ends with the lab. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { BOOTSWARM, nodeFor } from '../../test/cluster.ts';
import type { LabHost } from './network-lab.ts';

/** A hundred of them may start at once on two cores. */
const READY_MS_MAX = 120_000;
const LOG_TAIL_CHARS = 2_000;

export class LabDaemon {
  readonly host: LabHost;
  readonly #what: string;
  readonly #logPath: string;
  readonly #process: ChildProcess;
  /** Rejects when it ends, which nobody asks of it. */
  readonly ended: Promise<never>;

  constructor(host: LabHost, args: readonly string[], logPath: string) {
    const { nodeFlags, nodeEnv } = nodeFor(args);
    const [program, ...before] = [...host.prefix, process.execPath, ...nodeFlags, BOOTSWARM];
    const log = openSync(logPath, 'a');
    this.host = host;
    this.#what = `${args[0]} on ${host.name}`;
    this.#logPath = logPath;
    this.#process = spawn(program, [...before, ...args], {
      stdio: ['ignore', 'pipe', log],
      env: { ...nodeEnv, ...process.env },
    });
    closeSync(log);
    this.ended = new Promise((_, reject) => {
      this.#process.on('error', reject);
      this.#process.on('exit', (code, signal) => {
        const tail = readFileSync(logPath, 'utf8').slice(-LOG_TAIL_CHARS);
        reject(new Error(`${this.#what} ended with ${signal ?? code}: ${tail.trim()}`));
      });
    });
    // Whoever waits for something else meanwhile is told.
    this.ended.catch(() => {});
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** Resolves when it has printed that it is ready. */
  async ready(): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`${this.#what} is not ready; it wrote to ${this.#logPath}`));
    }, READY_MS_MAX);
    const seen = new Promise<void>((resolve) => {
      let text = '';
      this.#process.stdout!.setEncoding('utf8').on('data', (more: string) => {
        text += more;
        if (text.includes(' ready at ')) resolve();
      });
    });
    await Promise.race([seen, this.ended, late.promise]).finally(() => clearTimeout(timer));
  }
}
