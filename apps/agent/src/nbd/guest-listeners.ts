/**
 * Where guests connect: the unix socket of this host, and a TCP port where one was asked for. They share memory for replies.
 * Once guests may be there, nobody on this host waits for what is wrong with the port: it is tried again.
 */
import { messageOf } from '@bootswarm/stdx';
import type { NbdStatus } from '../api.ts';
import type { ExportDirectory } from './export-source.ts';
import { type ListenAddress, NbdListener, type NbdListenerEvent } from './nbd-listener.ts';
import { ReplyBudget } from './reply-budget.ts';
import { type TlsFiles, TlsGate } from './tls-gate.ts';

export interface NbdTcpOptions {
  readonly host: string;
  /** 0 takes a free one, which `status` tells. */
  readonly port: number;
  /** 'plain': whoever can connect reads every export, and so does whoever is on the way. */
  readonly security: TlsFiles | 'plain';
}

export interface GuestListenersOptions {
  /** Of the unix socket. */
  readonly path: string;
  /** The unix socket as a parent keeps it; none: it is made. */
  readonly fd?: number;
  readonly tcp?: NbdTcpOptions;
  /** Whether to go on without the TCP port, and try again; default: not. */
  readonly tcpMayWait?: boolean;
  /** Memory for replies that wait. */
  readonly replyBytesMax: number;
  readonly directory: ExportDirectory;
  readonly onEvent: (event: NbdListenerEvent) => void;
}

/** First pause before the TCP port is tried again, and the longest. */
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;

export class GuestListeners {
  readonly #options: GuestListenersOptions;
  readonly #local: NbdListener;
  readonly #budget: ReplyBudget;
  #remote: NbdListener | undefined;
  /** Of the last attempt to have the TCP port. */
  #tcpError: unknown;
  #retryTimer: NodeJS.Timeout | undefined;
  #retrying: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(options: GuestListenersOptions, local: NbdListener, budget: ReplyBudget) {
    this.#options = options;
    this.#local = local;
    this.#budget = budget;
  }

  /** Throws OperatorError when one of them cannot be had, and may not wait; then there is neither. */
  static async listen(options: GuestListenersOptions): Promise<GuestListeners> {
    const { path, fd, directory, onEvent } = options;
    const budget = new ReplyBudget(options.replyBytesMax);
    const address: ListenAddress =
      fd === undefined ? { type: 'path', path } : { type: 'fd', fd, path };
    const local = await NbdListener.listen(address, { directory, budget, onEvent });
    const listeners = new GuestListeners(options, local, budget);
    try {
      if (options.tcpMayWait) await listeners.#tryTcp(RETRY_MS_MIN);
      else await listeners.#listenTcp();
      return listeners;
    } catch (error) {
      await local.close();
      throw error;
    }
  }

  get status(): NbdStatus {
    return {
      address: this.#remote?.address,
      ...(this.#tcpError !== undefined && { tcpError: messageOf(this.#tcpError) }),
      connections: this.#all().reduce((sum, { connectionCount }) => sum + connectionCount, 0),
      replyBytes: this.#budget.heldBytes,
      replyBytesMax: this.#budget.bytesMax,
    };
  }

  /** Cuts the clients of one export. */
  cut(exportName: string): void {
    for (const listener of this.#all()) listener.cut(exportName);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    await this.#retrying;
    await Promise.all(this.#all().map((listener) => listener.close()));
  }

  #all(): readonly NbdListener[] {
    return this.#remote === undefined ? [this.#local] : [this.#local, this.#remote];
  }

  async #listenTcp(): Promise<void> {
    const { tcp, directory, onEvent } = this.#options;
    if (tcp === undefined) return;
    const { host, port, security } = tcp;
    // Read anew each time: what was wrong may be the certificate.
    const tlsGate = security === 'plain' ? undefined : new TlsGate(security);
    const shared = { directory, budget: this.#budget, onEvent };
    this.#remote = await NbdListener.listen({ type: 'tcp', host, port }, { ...shared, tlsGate });
  }

  async #tryTcp(retryMs: number): Promise<void> {
    const { onEvent } = this.#options;
    const hadFailed = this.#tcpError !== undefined;
    try {
      await this.#listenTcp();
      this.#tcpError = undefined;
      if (hadFailed) onEvent({ type: 'tcp-listening', address: this.#remote?.address });
    } catch (error) {
      this.#tcpError = error;
      onEvent({ type: 'tcp-failed', error, retryMs });
      if (this.#isClosed) return;
      this.#retryTimer = setTimeout(() => {
        this.#retrying = this.#tryTcp(Math.min(2 * retryMs, RETRY_MS_MAX));
      }, retryMs);
    }
  }
}
