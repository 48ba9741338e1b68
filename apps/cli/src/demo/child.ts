/**
 * A long-lived child in a process group of its own, so that Ctrl-C reaches us alone and we end them in order. Its output
 * goes to a log file, and its end is never missed. Which children there are is child-set.ts's matter.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';

export interface ChildCommand {
  /** For messages: 'tracker', 'vm-3'. */
  readonly name: string;
  readonly argv: readonly string[];
  /** Takes standard output and standard error. */
  readonly logPath: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Seconds an orderly end takes at most: the tracker waits for its origin, an agent for its disk. */
const STOP_MS_MAX = 8_000;
/** The last words of a child that died. */
const TAIL_CHARS = 2_000;

export class Child {
  readonly command: ChildCommand;
  /** Resolves when it has ended and its output has been read: 'ended with code 1', 'was ended by SIGKILL'. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #listeners = new Set<(text: string) => void>();
  #tail = '';
  #isStopping = false;
  #hasEnded = false;

  constructor(command: ChildCommand) {
    this.command = command;
    const [program, ...args] = command.argv;
    const env = { ...process.env, ...command.env };
    this.#process = spawn(program, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    const log = createWriteStream(command.logPath);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log.write(text);
        this.#tail = (this.#tail + text).slice(-TAIL_CHARS);
        for (const listener of this.#listeners) listener(text);
      });
    }
    // What it may leave behind, such as the origin of a tracker that crashed, would hold its output open.
    this.#process.on('exit', () => this.#signal('SIGKILL', 'group'));
    this.ended = new Promise<string>((resolve) => {
      this.#process.on('error', (error) => resolve(`could not start: ${messageOf(error)}`));
      this.#process.on('close', (code, signal) =>
        resolve(code === null ? `was ended by ${signal}` : `ended with code ${code}`),
      );
    }).then(async (how) => {
      this.#hasEnded = true;
      log.end();
      await finished(log);
      return how;
    });
  }

  /** Whether stop() or kill() was called, so that its end is no surprise. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** The end of what it wrote. */
  get tail(): string {
    return this.#tail.trim();
  }

  /** Calls `listener` with everything written from now on. */
  onText(listener: (text: string) => void): void {
    this.#listeners.add(listener);
  }

  /** The first match of `pattern` in a line of its output. Throws OperatorError when it ends or `timeoutMs` pass first. */
  async line(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const seen = new Promise<RegExpExecArray>((resolve) => {
      let text = '';
      this.onText((more) => {
        text += more;
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        const match = lines.map((line) => pattern.exec(line)).find((found) => found !== null);
        if (match != null) resolve(match);
      });
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, `was not ready within ${timeoutMs / 1000} s`);
    });
    const outcome = await Promise.race([seen, this.ended, late]).finally(() => clearTimeout(timer));
    if (typeof outcome === 'string') throw this.failure(outcome);
    return outcome;
  }

  /** An OperatorError that says `what` happened to it, and its last words. */
  failure(what: string): OperatorError {
    const { name, logPath } = this.command;
    const tail = this.tail === '' ? 'it wrote nothing' : `its last words:\n${this.tail}`;
    return new OperatorError(
      'child-failed',
      `${name} ${what}; ${tail}`,
      `run it again with --keep and read ${logPath}`,
    );
  }

  /** Asks it to end; makes it and its own children end when it does not. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#signal('SIGTERM', 'process');
    const timer = setTimeout(() => this.kill(), STOP_MS_MAX);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends it and its own children at once. */
  kill(): void {
    this.#isStopping = true;
    this.#signal('SIGKILL', 'group');
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL', to: 'process' | 'group'): void {
    const { pid } = this.#process;
    if (pid === undefined || this.#hasEnded) return;
    try {
      process.kill(to === 'group' ? -pid : pid, signal);
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
  }
}
