/**
 * One NBD connection, server side: bytes of the client in, effects out. Runs the handshake, then the transmission phase, and
 * closes on the first broken rule. Sockets, deadlines, where data comes from and when to stop reading are the runner's:
 *
 *   handle(bytes) while wantsInput; then poll() until undefined. After encodeReadReply(), poll() again: there may be room.
 */
import { ProtocolError } from '@bootswarm/stdx';
import type { CloseEffect, NbdEffect, ReadEffect } from './effect.ts';
import type { NbdExport, NbdExportDirectory } from './export.ts';
import { Handshake, type TlsPolicy } from './handshake.ts';
import { encodeGreeting } from './option-reply.ts';
import { SegmentReader } from './segment-reader.ts';
import { Transmission } from './transmission.ts';

type SessionState<E extends NbdExport> =
  | { readonly type: 'greeting' }
  | { readonly type: 'handshake'; readonly handshake: Handshake<E> }
  | { readonly type: 'transmission'; readonly transmission: Transmission; readonly export: E }
  /** The client aborted the handshake, or ended its stream there. */
  | { readonly type: 'leaving' }
  | { readonly type: 'closed' };

export class NbdSession<E extends NbdExport> {
  readonly #directory: NbdExportDirectory<E>;
  readonly #tls: TlsPolicy;
  readonly #reader = new SegmentReader();
  #state: SessionState<E> = { type: 'greeting' };

  constructor(directory: NbdExportDirectory<E>, tls: TlsPolicy = 'refused') {
    this.#directory = directory;
    this.#tls = tls;
  }

  /** The export the client has chosen, from the transmission phase on. */
  get export(): E | undefined {
    return this.#state.type === 'transmission' ? this.#state.export : undefined;
  }

  /** Whether handle() may be called: the bytes it was given before are used up. */
  get wantsInput(): boolean {
    return this.#reader.isEmpty || this.#isDeaf();
  }

  /** Bytes of the client's stream kept beside the segment being read: at most OPTION_LENGTH_MAX. */
  get bufferedLength(): number {
    return this.#reader.bufferedLength;
  }

  /** The next bytes of the client, cut anywhere. They are not copied: leave them alone until wantsInput is true again. */
  handle(bytes: Uint8Array): void {
    if (!this.#isDeaf()) this.#reader.push(bytes);
  }

  /** The client has closed its side. What it has asked for is still answered, then comes the CloseEffect. */
  handleEnd(): void {
    const state = this.#state;
    if (state.type === 'transmission') state.transmission.endInput();
    else if (state.type !== 'closed') this.#state = { type: 'leaving' };
  }

  poll(): NbdEffect | undefined {
    const state = this.#state;
    switch (state.type) {
      case 'greeting':
        this.#state = { type: 'handshake', handshake: new Handshake(this.#directory, this.#tls) };
        return { type: 'write', bytes: encodeGreeting() };
      case 'handshake':
        return this.#pollHandshake(state.handshake);
      case 'transmission': {
        const effect = state.transmission.poll(this.#reader);
        return effect?.type === 'close' ? this.#close(effect) : effect;
      }
      case 'leaving':
        return this.#close({ type: 'close', error: undefined });
      case 'closed':
        return undefined;
    }
  }

  /**
   * Answers a ReadEffect: `bytes` holds its data after the first `replyHeaderLength` bytes, which are filled in. Send it
   * whole; chunks of one reply may not be reordered past the one encoded last.
   */
  encodeReadReply(read: ReadEffect, bytes: Uint8Array): void {
    if (this.#state.type === 'transmission') this.#state.transmission.encodeReadReply(read, bytes);
  }

  /** handshake → transmission | leaving | closed */
  #pollHandshake(handshake: Handshake<E>): NbdEffect | undefined {
    const step = handshake.step(this.#reader);
    if (step === undefined) return undefined;
    switch (step.type) {
      case 'replied':
        break;
      case 'agreed':
        this.#state = {
          type: 'transmission',
          transmission: new Transmission(step.agreement),
          export: step.agreement.export,
        };
        break;
      case 'start-tls':
        // A client waits for our answer: whoever sent more in the clear wants it taken for the client's.
        if (this.#reader.isEmpty) return step;
        return this.#close({ type: 'close', error: new ProtocolError('plaintext-after-starttls') });
      case 'aborted':
        this.#state = { type: 'leaving' };
        break;
      case 'broken':
        return this.#close({ type: 'close', error: step.error });
    }
    return { type: 'write', bytes: step.bytes };
  }

  #close(effect: CloseEffect): CloseEffect {
    this.#state = { type: 'closed' };
    return effect;
  }

  /** Whether anything more the client sends is of no interest. */
  #isDeaf(): boolean {
    const state = this.#state;
    return (
      state.type === 'leaving' ||
      state.type === 'closed' ||
      (state.type === 'transmission' && state.transmission.isDisconnecting)
    );
  }
}
