/** What things cost a node besides the network: measured on the real programs, so that the simulator predicts them. */
export interface SimCosts {
  /** CPU of one process per message handled or sent, whatever its size. */
  readonly messageMs: number;
  /** CPU per piece received beside its message: asking for it, storing it. */
  readonly receivePieceMs: number;
  /** CPU per byte of a piece received: copying, hashing and writing. */
  readonly receiveMsPerByte: number;
  /** CPU per byte of a piece sent. */
  readonly sendMsPerByte: number;
  /** CPU of an origin per piece, and per byte of it, that it reads and verifies before it sends it for the first time. */
  readonly firstReadPieceMs: number;
  readonly firstReadMsPerByte: number;
  /** From a verified piece to its being recorded in the store. */
  readonly storeMs: number;
  /** CPU of the tracker per HTTP request, and per byte of what it sends. */
  readonly httpMs: number;
  readonly httpMsPerByte: number;
  /** CPU of an agent to unpack a piece layer and check it against the root, per piece of the image. */
  readonly layerMsPerPiece: number;
  /** A guest's read that is at hand. */
  readonly readMs: number;
}

/**
 * CPU (user and system, all threads of a process) per piece on loopback, by `npm run bench -- fill`: medians of 6 runs and
 * more at 64 KiB and 1 MiB, on two cores that other work kept busy; quiet, they are a fifth to a quarter less. The lines
 * through them: 0.025 ms + 0.184 per 64 KiB received; 0.019 + 0.041 sent, half of the former for the request and half for the
 * answer; 0.049 + 0.077 more for an origin that reads and verifies the piece. Not measured anew: `storeMs`, `readMs`. About a
 * third of what receiving costs is the write to the cache, on another thread: here it is all on one. Of a tracker that is
 * asked by 50 clients at once: 0.13 ms of CPU per metainfo on a connection of its own, 2.8 ms per 2 MiB. Of a layer of 65,536
 * pieces, 7,412 of them data: 35 ms.
 */
export const MEASURED_COSTS: SimCosts = {
  messageMs: 0.01,
  receivePieceMs: 0.015,
  receiveMsPerByte: 0.184 / 65_536,
  sendMsPerByte: 0.041 / 65_536,
  firstReadPieceMs: 0.049,
  firstReadMsPerByte: 0.077 / 65_536,
  storeMs: 0.3,
  httpMs: 0.13,
  httpMsPerByte: 2.5 / 2_097_152,
  layerMsPerPiece: 35 / 65_536,
  readMs: 0.05,
};

/** One process: what it has to do waits for what it is doing. */
export class Cpu {
  #busyUntil = 0;

  /** Books `costMs` from `now` on; returns when it will be done. */
  spend(now: number, costMs: number): number {
    this.#busyUntil = Math.max(now, this.#busyUntil) + costMs;
    return this.#busyUntil;
  }
}
