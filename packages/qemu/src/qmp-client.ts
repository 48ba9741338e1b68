/**
 * Talks to one QEMU on its QMP socket: commands, their answers, and events that were asked for. Whatever else is at the other
 * end, or nothing, becomes an OperatorError that says so in bounded time. Knows no command but the one that opens a session.
 */
import { connect, type Socket } from 'node:net';
import { messageOf, OperatorError, ProtocolError } from '@bootswarm/stdx';
import { QmpLines } from './qmp-lines.ts';
import { parseQmpMessage, type QmpCommand, type QmpEvent, type QmpMessage } from './qmp-message.ts';

export interface QmpClientOptions {
  /** Of QEMU's `-qmp unix:PATH,server=on,wait=off`. */
  readonly path: string;
  /** For the greeting, each answer and each event; default 30 s. */
  readonly timeoutMs?: number;
}

/** QEMU answers within milliseconds, unless it has to wait for a disk: a command that changes disks waits for what they do. */
const TIMEOUT_MS = 30_000;

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: OperatorError) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

interface EventWaiting extends Waiting<QmpEvent> {
  readonly matches: (event: QmpEvent) => boolean;
}

export class QmpClient {
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #socket: Socket;
  readonly #lines = new QmpLines();
  #greeting: Waiting<void> | undefined;
  /** By the id of the command. */
  readonly #answers = new Map<number, Waiting<unknown> & { readonly command: string }>();
  readonly #events = new Set<EventWaiting>();
  #lastId = 0;
  #failure: OperatorError | undefined;

  /** Throws OperatorError `qmp-unreachable`, and what execute() throws. */
  static async open(options: QmpClientOptions): Promise<QmpClient> {
    const client = new QmpClient(options);
    try {
      await client.#greeted();
      await client.execute({ execute: 'qmp_capabilities' });
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  private constructor({ path, timeoutMs = TIMEOUT_MS }: QmpClientOptions) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
    this.#socket = connect(path);
    let isConnected = false;
    this.#socket.on('connect', () => {
      isConnected = true;
    });
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', (error) => {
      this.#fail(isConnected ? this.#closed(error) : this.#unreachable(error));
    });
    this.#socket.on('close', () => this.#fail(this.#closed()));
  }

  /**
   * Resolves to what QEMU returned. Throws OperatorError: `qmp-refused` (QEMU says no, and why), `qmp-timeout`, `qmp-closed`, or
   * `qmp-garbage`; after the last three nobody knows whether the command was carried out, and the connection is gone.
   */
  execute(command: QmpCommand): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = this.#deadline(`an answer to ${command.execute}`);
      this.#answers.set(id, { command: command.execute, resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ ...command, id })}\n`);
    });
  }

  /**
   * The next event that matches. To be called before the command that causes it: events may come ahead of the answer. `timeoutMs`
   * 0: as long as the connection lasts.
   */
  event(
    what: string,
    matches: (event: QmpEvent) => boolean,
    timeoutMs = this.#timeoutMs,
  ): Promise<QmpEvent> {
    if (this.#failure) return Promise.reject(this.#failure);
    const coming = new Promise<QmpEvent>((resolve, reject) => {
      const timer = timeoutMs === 0 ? undefined : this.#deadline(what, timeoutMs);
      this.#events.add({ matches, resolve, reject, timer });
    });
    // Whoever waits is told; a command that fails first leaves nobody waiting.
    coming.catch(() => {});
    return coming;
  }

  close(): void {
    this.#fail(this.#closed());
  }

  #greeted(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#greeting = { resolve, reject, timer: this.#deadline('a greeting') };
    });
  }

  #deadline(what: string, timeoutMs = this.#timeoutMs): NodeJS.Timeout {
    return setTimeout(() => this.#fail(this.#silent(what)), timeoutMs);
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.feed(chunk)) {
        if (this.#failure) return;
        this.#handle(parseQmpMessage(line));
      }
    } catch (error) {
      this.#fail(this.#garbage(error));
    }
  }

  #handle(message: QmpMessage): void {
    const isGreeting = message.type === 'greeting';
    if (isGreeting !== (this.#greeting !== undefined)) {
      throw new ProtocolError('qmp-garbage', {
        reason: isGreeting ? 'greeted twice' : 'no greeting',
      });
    }
    if (isGreeting) {
      clearTimeout(this.#greeting?.timer);
      this.#greeting?.resolve();
      this.#greeting = undefined;
    } else if (message.type === 'event') {
      this.#tell(message);
    } else {
      this.#answer(message);
    }
  }

  #answer(message: Extract<QmpMessage, { type: 'return' | 'error' }>): void {
    const waiting = message.id === undefined ? undefined : this.#answers.get(message.id);
    if (message.id === undefined || waiting === undefined) {
      throw new ProtocolError('qmp-garbage', { reason: 'an answer to nothing that was asked' });
    }
    this.#answers.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.type === 'return') waiting.resolve(message.value);
    else waiting.reject(this.#refused(waiting.command, message.description));
  }

  #tell(event: QmpEvent): void {
    for (const waiting of this.#events) {
      if (!waiting.matches(event)) continue;
      this.#events.delete(waiting);
      clearTimeout(waiting.timer);
      waiting.resolve(event);
    }
  }

  /** Any state → failed: all who wait are told, once. */
  #fail(error: OperatorError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#socket.destroy();
    const greeting = this.#greeting ? [this.#greeting] : [];
    for (const waiting of [...greeting, ...this.#answers.values(), ...this.#events]) {
      clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.#answers.clear();
    this.#events.clear();
  }

  #unreachable(error: Error): OperatorError {
    return new OperatorError(
      'qmp-unreachable',
      `no QEMU answers on the QMP socket ${this.#path}: ${error.message}`,
      'Start the VM with the QEMU command of bootswarm vm create, -qmp included, as the user that the agent runs as.',
      { cause: error },
    );
  }

  #silent(what: string): OperatorError {
    return new OperatorError(
      'qmp-timeout',
      `QEMU did not send ${what} on ${this.#path} within ${this.#timeoutMs} ms`,
      'QEMU serves one QMP client at a time: close the other one. Or its disk hangs: see the VM itself.',
    );
  }

  #closed(error?: Error): OperatorError {
    return new OperatorError(
      'qmp-closed',
      `the QMP connection to ${this.#path} was closed${error ? `: ${error.message}` : ''}`,
      'See whether the VM still runs, then try again.',
      { cause: error },
    );
  }

  #garbage(error: unknown): OperatorError {
    return new OperatorError(
      'qmp-garbage',
      `what answers on ${this.#path} does not speak QMP: ${messageOf(error)}`,
      'Give the socket of a -qmp option of QEMU, not that of a monitor or another program.',
      { cause: error },
    );
  }

  #refused(command: string, description: string): OperatorError {
    return new OperatorError(
      'qmp-refused',
      `QEMU on ${this.#path} refused ${command}: ${description}`,
      'Mend what it says, then try again; the VM goes on as it was.',
    );
  }
}
