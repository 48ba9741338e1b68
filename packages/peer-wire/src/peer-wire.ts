/** One connection to one peer, handshakes included: bytes of a socket on one side, PeerMessages on the other. */
import type { PeerIdentity, PeerMessage } from '@bootswarm/swarm-proto';

export type WireMessage = PeerMessage<Uint8Array>;

/** Called from the socket's events. A throw inside one costs this connection only. */
export interface PeerWireHandlers {
  /** Both handshakes done, the far end identified and acceptable. Once, before any message. */
  onReady(identity: PeerIdentity): void;
  /**
   * A message that passed every check against the swarm's shape. The payload of a `piece` is a buffer that is the
   * receiver's from now on: it may keep it, or give it back to the swarm's pieceBuffers. A `piece` answers a request, which may
   * have been cancelled since.
   */
  onMessage(message: WireMessage): void;
  /** Queued egress fell below the low mark after having been above the high mark. */
  onDrain(): void;
  /**
   * Once, after which nothing else is called; also when the peer was never ready. `code` is kebab-case, e.g.
   * `message-too-long`, `handshake-late`. `cause` is what was thrown or emitted, if anything: with the code
   * `internal-error` it is a mistake of ours, of which onMistake() was told.
   */
  onClose(code: string, cause?: unknown): void;
}

/** Where the bytes of pieces are, as a store has them. */
export interface PieceSource {
  /** Copies bytes [offset, offset + target.length) of a verified piece into `target`; false when they are not at hand. */
  readNow(pieceIndex: number, offset: number, target: Uint8Array): boolean;
}

export interface PeerWire {
  /** host:port of the far end. */
  readonly address: string;
  /** Bytes accepted by send() and not yet by the kernel. */
  readonly queuedBytes: number;
  /** True while queuedBytes is above the high mark: send no `piece` until onDrain(). Other messages may be sent. */
  readonly isCongested: boolean;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /**
   * Only after onReady(); ignored after the end. Calls no handler within the call. A payload is copied. Answers to requests
   * that are not open any more (choked, cancelled) are dropped.
   */
  send(message: WireMessage): void;
  /**
   * As send() of a `piece`, with its bytes read from `source` straight into the message. False when the source does not
   * have them at hand: then nothing was sent.
   */
  sendPiece(source: PieceSource, pieceIndex: number, offset: number, length: number): boolean;
  /** Drops what is queued. onClose(code) follows in a later turn. */
  close(code: string): void;
}
