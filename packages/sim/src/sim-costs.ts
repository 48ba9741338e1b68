/** What things cost a node besides the network: measured on the real programs, so that the simulator predicts them. */
export interface SimCosts {
  /** CPU of one process per message handled or sent, whatever its size. */
  readonly messageMs: number;
  /** CPU per byte of a piece received: copying, hashing and writing. */
  readonly receiveMsPerByte: number;
  /** CPU per byte of a piece sent. */
  readonly sendMsPerByte: number;
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
 * Of an agent that fills 1 GiB in pieces of 64 KiB (bench fill, under a profiler): 0.3 ms of CPU per piece received, 0.28 ms
 * per piece sent by the origin, of which some 0.02 ms are per message. Of a tracker that is asked by 50 clients at once: 0.13 ms
 * of CPU per metainfo on a connection of its own, 2.8 ms per 2 MiB. Of a layer of 65,536 pieces, 7,412 of them data: 35 ms.
 */
export const MEASURED_COSTS: SimCosts = {
  messageMs: 0.02,
  receiveMsPerByte: 0.28 / 65_536,
  sendMsPerByte: 0.26 / 65_536,
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
