/** The bounds and intervals of the engine, each with its reason. A driver may override some; scenarios do. */

export interface SwarmLimits {
  /** Open or half-open wires per swarm. 64 hold every tree neighbour and leave room for those who dial us. */
  readonly peersMax: number;
  /** Places among them that are kept for wires we dial. */
  readonly peersDialledMin: number;
  /** When all places are taken, a wire that has brought nobody a piece for this long makes room for one that is needed. */
  readonly idleMinMs: number;
  /** Wires we dial for the sake of rarest-first, beyond the relay tree's own. */
  readonly neighboursWanted: number;
  /**
   * Pieces asked ahead of the guests (boot order and fill) over all peers: more only adds latency
   * (measured in a simulated storm of 1,000 nodes: 64 gave 1.07 × the fluid limit, 512 gave 1.30 ×).
   */
  readonly prefetchInFlightMax: number;
  /** The same in bytes, for large pieces; what is being stored counts too, so that a slow disk slows the fetching. */
  readonly prefetchBytesMax: number;
  /** Pieces asked of one peer before its bandwidth is known: enough to measure it, little enough to lose. */
  readonly requestsInFlightMin: number;
  /** Pieces asked of one peer at most; 64 pieces of 64 KiB are 34 ms at 1 Gbit/s. */
  readonly requestsInFlightMax: number;
  /**
   * Pieces asked of one peer at most when somebody waits for them; the rest waits here. A peer of ours closes the wire at
   * more than 256 (peer-wire), and a cancelled request counts there until it is answered: half of that.
   */
  readonly demandInFlightMax: number;
  /** What a pipeline covers beyond the round trip, so that a busy peer never idles between two of our wake-ups. */
  readonly pipelineMs: number;
  /**
   * What a pipeline of fill covers while our guests read: what was asked for lies in the sender's socket, where nothing overtakes
   * it, and a guest waits behind all of it. On a long way, or when an event loop is late, the image comes a little later.
   */
  readonly pipelineBesideGuestsMs: number;
  /** Guests read on this long after the last read of theirs that missed. */
  readonly guestsReadMs: number;
  /** A demand piece is asked of a second source after twice what such pieces usually take, within these bounds. */
  readonly hedgeMinMs: number;
  readonly hedgeMaxMs: number;
  /**
   * Second sources asked: per piece received, per second besides, and at once. Lateness of everything at once is a queue, which
   * more requests lengthen.
   */
  readonly hedgesPerPiece: number;
  readonly hedgesPerSecond: number;
  readonly hedgesBurst: number;
  /** A demand piece goes to the origin beside its tree only after this: lateness in a storm is queues, not death. */
  readonly originHedgeMs: number;
  /** A peer of ours that owes us pieces is asked whether it is there when it has been silent for this long, … */
  readonly probeAfterMs: number;
  /** … and left, until it is heard again, when it has not answered after this: a busy event loop may take tens of ms. */
  readonly probeTimeoutMs: number;
  /** A foreign peer that owes us pieces and has sent none for this long is snubbed: left alone, then tried with one. */
  readonly snubMs: number;
  /** A peer of ours that owes us pieces and says nothing for this long, asked whether it is there, is disconnected. */
  readonly deadPeerMs: number;
  /** A peer of ours that sends no piece for this long, of those it has and was asked for, is left. */
  readonly owedIdleMs: number;
  /** A peer that lost this many hedged races in a row is too slow for what it relays, and left. */
  readonly racesLostMax: number;
  /** A node that found its uplink too slow for relaying leaves that to others for this long. */
  readonly busyMs: number;
  /** The tracker is told of one member at most once in this time. */
  readonly suspectMs: number;
  /** How long a piece waits for a source that is being dialled before it tries the next. */
  readonly dialGraceMs: number;
  /** A piece that every source has refused is asked for again after this. */
  readonly retryRefusedMs: number;
  /** First and largest pause before a node is dialled again after a failure. */
  readonly redialMinMs: number;
  readonly redialMaxMs: number;
  /** Requests of one peer kept open at a time, waiting for the piece or for their turn; more are rejected. */
  readonly requestsHeldMax: number;
  /** Uploads of one peer handed to the driver and not yet done; bounds store reads in flight. */
  readonly uploadsInHandMax: number;
  /** The same over all peers: what a demand of any of them, or of our own guests, may have to wait behind. */
  readonly uploadsInHandTotalMax: number;
  /** New pieces are announced together after this long: 1 message instead of up to 95 at 1 Gbit/s and 64 KiB. */
  readonly haveBatchMs: number;
  /** Pieces in one announcement; peer-wire takes up to 4,096. */
  readonly haveBatchMax: number;
  /** Foreign peers unchoked at a time, one of them by turns (optimistically). */
  readonly uploadSlots: number;
  readonly rechokeMs: number;
  /** Fill takes pieces that nobody has from the origin out of turn when nothing was filled for this long. */
  readonly fillStalledMs: number;
  /** Fill requests to the origin in flight: demand of any node must not queue behind fill. */
  readonly fillFromOriginMax: number;
  /** A peer that sent a piece with a wrong hash is not spoken to again for this long. */
  readonly banMs: number;
}

export const DEFAULT_LIMITS: SwarmLimits = {
  peersMax: 64,
  peersDialledMin: 16,
  idleMinMs: 500,
  neighboursWanted: 12,
  prefetchInFlightMax: 64,
  prefetchBytesMax: 16 * 1024 * 1024,
  requestsInFlightMin: 4,
  requestsInFlightMax: 64,
  demandInFlightMax: 128,
  pipelineMs: 50,
  pipelineBesideGuestsMs: 4,
  guestsReadMs: 1_000,
  hedgeMinMs: 100,
  hedgeMaxMs: 400,
  hedgesPerPiece: 0.1,
  hedgesPerSecond: 10,
  hedgesBurst: 32,
  originHedgeMs: 300,
  probeAfterMs: 100,
  probeTimeoutMs: 150,
  snubMs: 3_000,
  deadPeerMs: 30_000,
  owedIdleMs: 1_000,
  racesLostMax: 2,
  busyMs: 10_000,
  suspectMs: 10_000,
  dialGraceMs: 100,
  retryRefusedMs: 250,
  redialMinMs: 500,
  redialMaxMs: 30_000,
  requestsHeldMax: 256,
  uploadsInHandMax: 8,
  uploadsInHandTotalMax: 16,
  haveBatchMs: 50,
  haveBatchMax: 1_024,
  uploadSlots: 5,
  rechokeMs: 10_000,
  fillStalledMs: 2_000,
  fillFromOriginMax: 32,
  banMs: 3_600_000,
};

/** How often peers are looked at for lateness while anything is awaited; half of the shortest deadline. */
export const PATROL_MS = 50;
