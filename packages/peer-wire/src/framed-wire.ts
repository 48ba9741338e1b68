/**
 * bittorrent-protocol's Wire without its streams: whole frames go in and encoded chunks come out within the call, so
 * that a throw of the wire reaches the caller and not the process, and nothing waits in a queue we do not count.
 * Encodes and decodes the base messages and keeps the choke and interest states; checks nothing.
 */
import Wire from 'bittorrent-protocol';

export class FramedWire extends Wire {
  readonly #onChunk: (chunk: Uint8Array) => void;

  constructor(onChunk: (chunk: Uint8Array) => void) {
    super();
    this.#onChunk = onChunk;
  }

  /** `frame` is the 68-byte handshake or one whole checked message, so the wire parses it in place and keeps nothing. */
  receive(frame: Uint8Array): void {
    this._write(frame, ignoreWritten);
  }

  /** Not kept in the wire's own list: it is searched for each answer, and grows with a peer that never answers. */
  override request(pieceIndex: number, offset: number, length: number): void {
    super.request(pieceIndex, offset, length);
    this.requests.length = 0;
  }

  override push(chunk: Uint8Array | null): boolean {
    if (chunk !== null) this.#onChunk(chunk);
    return true;
  }

  /** The wire formats a string for each message even when debugging is off: about 100 ns of the 250 ns of a `have`. */
  override _debug(): void {}
}

function ignoreWritten(): void {}
