/**
 * A PeerWire on a TCP socket: the socket's events into the guard and the session, the egress into the socket, and the
 * end of all of it. Every event is handled within one try: a throw, whoever's, costs this connection and nothing else.
 * Back-pressure on what comes in is the peer's unanswered requests and ours: messages are handled as they come, so
 * nothing of them is queued and the socket is never paused.
 */
import type { Socket } from 'node:net';
import { assert, errnoOf, ProtocolError } from '@bootswarm/stdx';
import { Egress } from './egress.ts';
import { FramingGuard } from './framing-guard.ts';
import type { Handshake } from './handshake.ts';
import type { PeerWire, PeerWireHandlers, PieceSource, WireMessage } from './peer-wire.ts';
import { WireDeadlines } from './wire-deadlines.ts';
import type { WireLimits } from './wire-limits.ts';
import { WireSession } from './wire-session.ts';
import type { WireSwarm } from './wire-swarm.ts';

/** A swarm that a connection may belong to, and who listens to it. */
export interface WireOwner {
  readonly swarm: WireSwarm;
  handlersFor(wire: PeerWire): PeerWireHandlers;
}

export interface WireConnectionOptions {
  readonly socket: Socket;
  readonly address: string;
  readonly limits: WireLimits;
  /** The owner when we dial: we know the swarm and speak first. */
  readonly dialedFor: WireOwner | undefined;
  /** The owner for an infohash as 40 hex digits, when the far end dialed. */
  readonly lookup: (infoHashHex: string) => WireOwner | undefined;
  /** When the peer is identified, and when the socket is gone. */
  readonly onReady: () => void;
  readonly onGone: () => void;
  /** What was thrown that is not the peer's fault: to be logged. The connection is closing, or gone. */
  readonly onMistake: (error: unknown) => void;
}

/** TCP keep-alive finds a dead host also while nobody sends: after this, and the kernel's nine probes. */
const TCP_KEEP_ALIVE_MS = 30_000;

export class WireConnection implements PeerWire {
  readonly address: string;
  readonly #options: WireConnectionOptions;
  readonly #socket: Socket;
  readonly #limits: WireLimits;
  readonly #guard: FramingGuard;
  readonly #egress: Egress;
  #handlers: PeerWireHandlers | undefined;
  #session: WireSession | undefined;
  #deadlines: WireDeadlines | undefined;
  #bytesReceived = 0;
  /** Of the event being handled. */
  #nowMs = performance.now();
  #closed: { readonly code: string; readonly cause: unknown } | undefined;
  /** The handshake's deadline, then the tick. */
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WireConnectionOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.#limits = options.limits;
    this.address = options.address;
    this.#guard = new FramingGuard({
      onHandshake: (handshake) => this.#onHandshake(handshake),
      onKeepAlive: () => this.#session?.onKeepAlive(this.#nowMs),
      admitPiece: (pieceIndex, offset, length) => {
        assert(this.#session !== undefined, 'a message after the handshake');
        return this.#session.admitPiece(pieceIndex, offset, length);
      },
      onPiece: (pieceIndex, offset, payload) => this.#session?.onPiece(pieceIndex, offset, payload),
      onFrame: (frame) => this.#session?.onFrame(frame, this.#nowMs),
    });
    this.#egress = new Egress(options.limits, {
      write: (chunks, written) => this.#write(chunks, written),
      defer: (task) => process.nextTick(() => this.#guarded(task)),
      onDrain: () => this.#handlers?.onDrain(),
      onOverflow: () => this.close('egress-overflow'),
    });
    const { dialedFor } = options;
    if (dialedFor !== undefined) this.#handlers = dialedFor.handlersFor(this);
    this.#listen();
  }

  get queuedBytes(): number {
    return this.#egress.queuedBytes;
  }

  get isCongested(): boolean {
    return this.#egress.isCongested;
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  get bytesSent(): number {
    return this.#egress.bytesWritten;
  }

  /** The socket is connected: from here the far end has its time for the handshakes. */
  start(): void {
    this.#guarded(() => {
      this.#timer = setTimeout(
        () => this.#guarded(() => this.#onHandshakeLate()),
        this.#limits.handshakeTimeoutMs,
      );
      const { dialedFor } = this.#options;
      if (dialedFor === undefined) return;
      this.#session = this.#openSession(dialedFor.swarm);
      this.#session.sendHandshake();
    });
  }

  send(message: WireMessage): void {
    if (this.#closed === undefined) this.#session?.send(message);
  }

  sendPiece(source: PieceSource, pieceIndex: number, offset: number, length: number): boolean {
    if (this.#closed !== undefined || this.#session === undefined) return true;
    return this.#session.sendPiece(source, pieceIndex, offset, length);
  }

  close(code: string): void {
    this.#close(code, undefined);
  }

  /** Bytes of the socket: the chunk is its owner's again when this returns. */
  receive(chunk: Uint8Array): void {
    this.#guarded(() => this.#onData(chunk));
  }

  /** Handlers hear of it when the socket is gone, never within the call. */
  #close(code: string, cause: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = { code, cause };
    this.#guard.stop();
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  /** Runs what an event brings; nothing after the end. */
  #guarded(task: () => void): void {
    if (this.#closed !== undefined) return;
    try {
      task();
    } catch (error) {
      const isPeersFault = error instanceof ProtocolError;
      this.#close(isPeersFault ? error.code : 'internal-error', error);
      if (!isPeersFault) this.#options.onMistake(error);
    }
  }

  #listen(): void {
    this.#socket.setNoDelay(true);
    this.#socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#socket.on('end', () => this.close('peer-closed'));
    this.#socket.on('error', (error) => this.#close(socketCode(error), error));
    this.#socket.on('close', () => this.#onGone());
  }

  #onData(chunk: Uint8Array): void {
    this.#nowMs = performance.now();
    this.#bytesReceived += chunk.length;
    this.#guard.push(chunk);
  }

  #onHandshake(handshake: Handshake): WireSwarm {
    let session = this.#session;
    if (session === undefined) {
      const infoHashHex = Buffer.from(handshake.infoHash).toString('hex');
      const owner = this.#options.lookup(infoHashHex);
      if (owner === undefined) throw new ProtocolError('info-hash-unknown', { infoHashHex });
      this.#handlers = owner.handlersFor(this);
      session = this.#openSession(owner.swarm);
      this.#session = session;
    }
    session.onHandshake(handshake, this.#nowMs);
    return session.swarm;
  }

  #openSession(swarm: WireSwarm): WireSession {
    return new WireSession(swarm, this.#limits, this.#egress, performance.now(), {
      onReady: (identity) => {
        this.#startTicking();
        this.#options.onReady();
        this.#handlers?.onReady(identity);
      },
      onMessage: (message) => {
        if (this.#closed === undefined) this.#handlers?.onMessage(message);
      },
      defer: (task) => process.nextTick(() => this.#guarded(task)),
    });
  }

  #onHandshakeLate(): void {
    this.#nowMs = performance.now();
    if (this.#session === undefined || !this.#session.hasHandshake) this.close('handshake-late');
    else this.#session.identifyAsForeign(this.#nowMs);
  }

  #startTicking(): void {
    clearTimeout(this.#timer);
    this.#deadlines = new WireDeadlines(this.#limits, performance.now());
    this.#timer = setInterval(() => this.#guarded(() => this.#onTick()), this.#limits.tickMs);
  }

  #onTick(): void {
    const verdict = this.#deadlines?.check(
      {
        bytesReceived: this.#bytesReceived,
        framesDone: this.#guard.framesDone,
        bufferedBytes: this.#guard.bufferedBytes,
        bytesWritten: this.#egress.bytesWritten,
        isWriting: this.#egress.isWriting,
      },
      performance.now(),
    );
    if (verdict === 'keep-alive') this.#session?.sendKeepAlive();
    else if (verdict !== undefined) this.close(verdict);
  }

  /** One writev for the batch: header and payload leave together, and several small messages as one segment. */
  #write(chunks: readonly Uint8Array[], written: () => void): void {
    if (this.#closed !== undefined) return;
    this.#socket.cork();
    const last = chunks.length - 1;
    for (let at = 0; at < last; at += 1) this.#socket.write(chunks[at]);
    this.#socket.write(chunks[last], () => this.#guarded(written));
    this.#socket.uncork();
  }

  #onGone(): void {
    // A socket closes by itself only after 'end' or 'error', so there is a code.
    const { code, cause } = this.#closed ?? { code: 'peer-closed', cause: undefined };
    this.#options.onGone();
    try {
      this.#handlers?.onClose(code, cause);
    } catch (error) {
      // Whatever it is, nothing is left that it could cost.
      this.#options.onMistake(error);
    }
  }
}

/** `socket-econnreset` and the like. */
function socketCode(error: Error): string {
  return `socket-${(errnoOf(error) ?? 'error').toLowerCase()}`;
}
