/**
 * An agent's side of its socket holder: waits for its turn to serve, asks for a successor, and ends when the holder is gone:
 * nobody could then start the next.
 */
import { OperatorError } from '@bootswarm/stdx';
import type { ToAgent, ToHolder } from './holder-messages.ts';

export class HolderLink {
  readonly #serve = Promise.withResolvers<{ readonly isFirst: boolean }>();
  #successorPid: number | null = null;
  #successor: PromiseWithResolvers<void> | undefined;

  /** Undefined when this process has no holder. Call it once. */
  static ofThisProcess(): HolderLink | undefined {
    const isChild = process.env.LISTEN_PPID === `${process.ppid}` && process.connected;
    return isChild ? new HolderLink() : undefined;
  }

  private constructor() {
    process.on('message', (message) => this.#heard(message as ToAgent));
    // Before a holder is started anew in our place. Guests reconnect to that one; the cache is safe from any sudden end.
    process.once('disconnect', () => process.exit(1));
  }

  /** Says that the code is loaded; resolves when it is this agent's turn, to whether it is the first. */
  turn(): Promise<{ readonly isFirst: boolean }> {
    this.#tell({ type: 'loaded' });
    return this.#serve.promise;
  }

  serving(): void {
    this.#tell({ type: 'serving' });
  }

  /** Resolves when a successor with the code on the disk waits for our end. Throws OperatorError `upgrade-failed`. */
  prepareSuccessor(): Promise<void> {
    if (this.#successor === undefined) {
      this.#successor = Promise.withResolvers();
      this.#tell({ type: 'upgrade' });
    }
    return this.#successor.promise;
  }

  /** Of the successor that has loaded its code; null while there is none. */
  get successorPid(): number | null {
    return this.#successorPid;
  }

  /** Lets the process end. */
  close(): void {
    process.removeAllListeners('disconnect');
    if (process.connected) process.disconnect();
  }

  #tell(message: ToHolder): void {
    process.send?.(message);
  }

  #heard(message: ToAgent): void {
    const successor = this.#successor;
    switch (message.type) {
      case 'serve':
        this.#serve.resolve(message);
        return;
      case 'successor':
        this.#successorPid = message.pid;
        return;
      case 'successor-loaded':
        successor?.resolve();
        return;
      case 'upgrade-failed':
        this.#successor = undefined;
        successor?.reject(
          new OperatorError(
            'upgrade-failed',
            `The new agent did not come up: ${message.reason}. This one serves on`,
            'Its own words are in the log of the agent. Mend what is installed, then try again.',
          ),
        );
    }
  }
}
