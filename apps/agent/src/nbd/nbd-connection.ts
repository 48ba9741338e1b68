/**
 * One NBD client's socket: feeds an NbdSession, answers its reads from the export's source, and holds the client to what a
 * client may cost. Replies answered at once gather in one reply buffer that is written when the session has nothing more
 * to ask; a read that must wait gets a buffer of its own. There is no error reply for "not here yet": such a read waits,
 * and when the agent goes the socket is cut unanswered, which QEMU takes as a reason to reconnect.
 */
import type { Socket } from 'node:net';
import type { ReadEffect } from '@bootswarm/nbd-proto';
import { NbdSession } from '@bootswarm/nbd-proto';
import type { WakefulLoop } from '../wakeful-loop.ts';
import type { ExportBinding, ExportDirectory, ExportSource, ReadHandle } from './export-source.ts';
import type { ReplyAllowance, ReplyBudget } from './reply-budget.ts';
import { GATHERED_BYTES_MAX, type ReplyBuffers } from './reply-buffers.ts';
import type { TlsGate } from './tls-gate.ts';

/**
 * Why a connection ended. done: the client said so. abandoned: it vanished, or took too long to leave. cut: by us. failed:
 * `error` is a ProtocolError when the client broke a rule, anything else when we did.
 */
export interface ConnectionEnd {
  readonly reason: 'done' | 'handshake-timeout' | 'abandoned' | 'cut' | 'failed';
  readonly exportName: string | undefined;
  readonly error: unknown;
}

export interface ConnectionOptions {
  readonly directory: ExportDirectory;
  readonly budget: ReplyBudget;
  readonly buffers: ReplyBuffers;
  /** Stays awake for a client that sends one request after another. */
  readonly loop: WakefulLoop;
  /** Clients must go through it before anything else; none: no TLS. */
  readonly tlsGate?: TlsGate;
  /** QEMU's own server allows 10 s; TLS is in it. */
  readonly handshakeTimeoutMs: number;
  /** How long reads go on for a client that has closed its side, and so has probably died. */
  readonly halfClosedTimeoutMs: number;
  readonly onEnd: (connection: NbdConnection, end: ConnectionEnd) => void;
}

/** One turn of the event loop for one client. Others, and the swarm, wait no longer than this. */
const TURN_MS_MAX = 5;
/** The clock is read once in so many effects. */
const EFFECTS_PER_CLOCK_READ = 16;

export class NbdConnection {
  #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #session: NbdSession<ExportBinding>;
  readonly #allowance: ReplyAllowance = { heldBytes: 0, retry: () => this.#pump() };
  readonly #waiting = new Set<WaitingRead>();
  #source: ExportSource | undefined;
  #exportName: string | undefined;
  /** Replies that leave together; there is none while nothing is to be sent. */
  #replies: Buffer | undefined;
  /** Reply buffers that the kernel has not copied yet, in the order in which they were written. */
  readonly #gatheredOut: Buffer[] = [];
  readonly #onGatheredOut = (): void => this.#options.buffers.give(this.#gatheredOut.shift()!);
  #repliesLength = 0;
  /** A read that the budget has refused; nothing more is asked of the session until it is served. */
  #heldRead: ReadEffect | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #isPumping = false;
  /** TLS is being negotiated: the socket is not ours. */
  #isSecuring = false;
  #isTurnOver = false;
  /** The client is done; the socket's queue drains, then it closes. */
  #isClosing = false;
  #hasEnded = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#session = new NbdSession(
      options.directory,
      options.tlsGate === undefined ? 'refused' : 'required',
    );
  }

  /** Greets the client and serves it until `onEnd`. */
  start(): void {
    this.#setDeadline(this.#options.handshakeTimeoutMs, 'handshake-timeout');
    this.#listen();
    this.#pump();
  }

  #listen(): void {
    const socket = this.#socket;
    const { loop } = this.#options;
    socket.on('data', (bytes) => {
      loop.heard();
      this.#guard(() => this.#session.handle(bytes));
      loop.served();
    });
    socket.on('end', () => this.#guard(() => this.#inputEnded()));
    socket.on('drain', () => this.#pump());
    socket.on('error', (error) => this.#end('abandoned', error));
    socket.on('close', () => this.#end(this.#isClosing ? 'done' : 'abandoned'));
  }

  get exportName(): string | undefined {
    return this.#exportName;
  }

  /** Closes the socket without a word. */
  cut(): void {
    this.#end('cut');
  }

  #inputEnded(): void {
    this.#session.handleEnd();
    this.#setDeadline(this.#options.halfClosedTimeoutMs, 'abandoned');
  }

  /** Runs `change` and then all that follows from it; whatever throws costs this connection and no other. */
  #guard(change: () => void): void {
    if (this.#hasEnded) return;
    try {
      change();
      this.#pump();
    } catch (error) {
      this.#end('failed', error);
    }
  }

  /** Serves the session until it wants input, a read's answer, a client that reads its replies, or its next turn. */
  #pump(): void {
    if (this.#isPumping || this.#hasEnded || this.#isSecuring) return;
    this.#isPumping = true;
    try {
      if (!this.#isTurnOver) this.#serve();
      if (!this.#hasEnded) this.#flush();
    } catch (error) {
      this.#end('failed', error);
    }
    this.#isPumping = false;
    if (this.#hasEnded || this.#isSecuring) return;
    // One unread segment is the most that is ever taken in: what follows stays in the kernel, and the client waits.
    if (this.#session.wantsInput) this.#socket.resume();
    else this.#socket.pause();
  }

  #serve(): void {
    const startedAt = performance.now();
    for (let effects = 1; !this.#socket.writableNeedDrain; effects++) {
      if (effects % EFFECTS_PER_CLOCK_READ === 0 && performance.now() - startedAt > TURN_MS_MAX) {
        this.#yieldTurn();
        return;
      }
      if (!this.#serveOne() || this.#hasEnded) return;
    }
  }

  /** Carries out one effect; false when there is none to carry out. */
  #serveOne(): boolean {
    const effect = this.#heldRead ?? this.#session.poll();
    if (effect === undefined) return false;
    switch (effect.type) {
      case 'read':
        return this.#read(effect);
      case 'write':
        if (this.#source === undefined) this.#negotiate(effect.bytes);
        else this.#append(effect.bytes);
        return true;
      case 'start-tls':
        this.#startTls(effect.bytes);
        return false;
      case 'cache':
        this.#append(effect.bytes);
        this.#source?.prefetch(effect.offset, effect.length);
        return true;
      case 'close':
        if (effect.error === undefined) this.#closeSoon();
        else this.#end('failed', effect.error);
        return false;
    }
  }

  /** Sends a handshake reply; the last one ends the handshake, and only now is there a reply buffer to pay for. */
  #negotiate(bytes: Uint8Array): void {
    this.#socket.write(bytes);
    const binding = this.#session.export;
    if (binding === undefined) return;
    this.#exportName = binding.name;
    this.#source = binding.open();
    clearTimeout(this.#deadline);
  }

  /** `bytes` are the last in the clear; from then on the socket is the gate's, which gives back another or closes it. */
  #startTls(bytes: Uint8Array): void {
    const plain = this.#socket;
    this.#isSecuring = true;
    plain.pause();
    // TLS takes what has been received already by read(), which would tell us of it too.
    plain.removeAllListeners('data');
    const secured = (socket: Socket) => {
      this.#socket = socket;
      this.#isSecuring = false;
      this.#listen();
    };
    plain.write(bytes, () => {
      this.#guard(() => {
        this.#options.tlsGate!.secure(plain, (socket) => this.#guard(() => secured(socket)));
      });
    });
  }

  #closeSoon(): void {
    this.#flush();
    this.#isClosing = true;
    this.#setDeadline(this.#options.halfClosedTimeoutMs, 'abandoned');
    this.#socket.destroySoon();
  }

  #read(effect: ReadEffect): boolean {
    const replyLength = effect.replyHeaderLength + effect.length;
    if (replyLength <= GATHERED_BYTES_MAX) {
      const reply = this.#replySpace(replyLength);
      if (this.#source!.readNow(effect.offset, reply.subarray(effect.replyHeaderLength))) {
        this.#session.encodeReadReply(effect, reply);
        this.#repliesLength += replyLength;
        this.#heldRead = undefined;
        return true;
      }
    }
    const mayHold = this.#options.budget.reserve(this.#allowance, replyLength);
    this.#heldRead = mayHold ? undefined : effect;
    if (!mayHold) return false;
    if (replyLength <= GATHERED_BYTES_MAX || !this.#readLong(effect, replyLength)) {
      this.#wait(effect, Buffer.allocUnsafeSlow(replyLength));
    }
    return true;
  }

  /** Answers a read too long for the reply buffer, if its bytes are at hand. */
  #readLong(effect: ReadEffect, replyLength: number): boolean {
    const { buffers } = this.#options;
    const buffer = buffers.take(replyLength);
    const reply = buffer.subarray(0, replyLength);
    if (this.#source!.readNow(effect.offset, reply.subarray(effect.replyHeaderLength))) {
      this.#reply(effect, reply, () => buffers.give(buffer));
      return true;
    }
    buffers.give(buffer);
    return false;
  }

  #wait(effect: ReadEffect, reply: Buffer): void {
    const target = reply.subarray(effect.replyHeaderLength);
    const waiting: WaitingRead = { handle: undefined, isDone: false };
    const done = () => {
      waiting.isDone = true;
      this.#waiting.delete(waiting);
      this.#guard(() => this.#reply(effect, reply));
    };
    waiting.handle = this.#source!.read(effect.offset, target, done);
    // Before it returned the source may have called done(), having had it after all, or have had this connection cut.
    if (this.#hasEnded) waiting.handle.cancel();
    else if (!waiting.isDone) this.#waiting.add(waiting);
  }

  /** Sends a reply with a buffer of its own, whose bytes are held in the budget until the kernel has them. */
  #reply(effect: ReadEffect, reply: Buffer, onWritten?: () => void): void {
    this.#session.encodeReadReply(effect, reply);
    // The chunk that carries DONE must not overtake the chunks of its reply that still lie in the reply buffer.
    this.#flush();
    this.#socket.write(reply, () => {
      onWritten?.();
      if (!this.#hasEnded) this.#options.budget.release(this.#allowance, reply.length);
    });
  }

  /** Adds a reply without data, at most the 8 KiB of EXTENTS_MAX. */
  #append(bytes: Uint8Array): void {
    this.#replySpace(bytes.length).set(bytes);
    this.#repliesLength += bytes.length;
  }

  /** The next `length` bytes of the reply buffer, which is written out first if they do not fit. */
  #replySpace(length: number): Buffer {
    if (this.#repliesLength + length > GATHERED_BYTES_MAX) this.#flush();
    this.#replies ??= this.#options.buffers.takeGathering();
    return this.#replies.subarray(this.#repliesLength, this.#repliesLength + length);
  }

  /** Writes out what has gathered; the buffer is free when the kernel has copied it. */
  #flush(): void {
    const replies = this.#replies;
    if (replies === undefined) return;
    const length = this.#repliesLength;
    this.#replies = undefined;
    this.#repliesLength = 0;
    const { buffers } = this.#options;
    if (length === 0) return buffers.give(replies);
    this.#gatheredOut.push(replies);
    this.#socket.write(replies.subarray(0, length), this.#onGatheredOut);
  }

  #yieldTurn(): void {
    this.#isTurnOver = true;
    setImmediate(() => {
      this.#isTurnOver = false;
      this.#pump();
    });
  }

  #setDeadline(timeoutMs: number, reason: ConnectionEnd['reason']): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end(reason), timeoutMs);
  }

  #end(reason: ConnectionEnd['reason'], error?: unknown): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#deadline);
    this.#socket.destroy();
    let cause = error;
    try {
      for (const waiting of this.#waiting) waiting.handle?.cancel();
      this.#source?.close();
    } catch (closeError) {
      cause ??= closeError;
    }
    this.#waiting.clear();
    this.#options.budget.leave(this.#allowance);
    this.#options.onEnd(this, { reason, exportName: this.#exportName, error: cause });
  }
}

interface WaitingRead {
  handle: ReadHandle | undefined;
  isDone: boolean;
}
