/** Where guests connect: the unix socket of this host, and a TCP port where one was asked for. They share memory for replies. */
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
  /** Memory for replies that wait. */
  readonly replyBytesMax: number;
  readonly directory: ExportDirectory;
  readonly onEvent: (event: NbdListenerEvent) => void;
}

export class GuestListeners {
  readonly #listeners: readonly NbdListener[];
  readonly #budget: ReplyBudget;

  private constructor(listeners: readonly NbdListener[], budget: ReplyBudget) {
    this.#listeners = listeners;
    this.#budget = budget;
  }

  /** Throws OperatorError when one of them cannot be had; then there is neither. */
  static async listen(options: GuestListenersOptions): Promise<GuestListeners> {
    const { path, fd, tcp, directory, onEvent } = options;
    const budget = new ReplyBudget(options.replyBytesMax);
    const shared = { directory, budget, onEvent };
    const address: ListenAddress =
      fd === undefined ? { type: 'path', path } : { type: 'fd', fd, path };
    const local = await NbdListener.listen(address, shared);
    if (tcp === undefined) return new GuestListeners([local], budget);
    const { host, port, security } = tcp;
    try {
      const tlsGate = security === 'plain' ? undefined : new TlsGate(security);
      const remote = await NbdListener.listen({ type: 'tcp', host, port }, { ...shared, tlsGate });
      return new GuestListeners([local, remote], budget);
    } catch (error) {
      await local.close();
      throw error;
    }
  }

  get status(): NbdStatus {
    return {
      address: this.#listeners.find(({ address }) => address !== undefined)?.address,
      connections: this.#listeners.reduce((sum, { connectionCount }) => sum + connectionCount, 0),
      replyBytes: this.#budget.heldBytes,
      replyBytesMax: this.#budget.bytesMax,
    };
  }

  /** Cuts the clients of one export. */
  cut(exportName: string): void {
    for (const listener of this.#listeners) listener.cut(exportName);
  }

  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
  }
}
