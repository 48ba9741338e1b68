/** Every bound of one connection that an owner may set; each has a default with its reason. */

export interface WireLimits {
  /** From the first byte of a connection to an identified peer. */
  readonly handshakeTimeoutMs: number;
  /** Without a byte from the far end. */
  readonly idleTimeoutMs: number;
  /** Without a byte sent, after which a keep-alive goes out: half the idle time others allow, less a little. */
  readonly keepAliveMs: number;
  /** For the kernel to take one batch of egress: a peer that stopped reading. */
  readonly writeStallMs: number;
  /** For a begun message to come whole, plus the time of its length at 16 KiB/s: a peer that drips. */
  readonly messageStallMs: number;
  /** How often the four above are looked at. */
  readonly tickMs: number;
  /** Queued egress above which isCongested: 32 ms at 1 Gbit/s. */
  readonly queuedBytesHigh: number;
  /** Queued egress below which onDrain(): 8 ms at 1 Gbit/s, so that the owner refills in time. */
  readonly queuedBytesLow: number;
  /** Beyond the high mark, one piece and this the peer is closed: answers it does not fetch. */
  readonly queuedBytesSlack: number;
  /**
   * Bytes handed to the socket at a time. What comes later waits for them, whatever its class: 2 ms at 1 Gbit/s.
   * Beyond this lies the kernel's send buffer, which Node cannot bound.
   */
  readonly writeBatchBytes: number;
  /** Unanswered requests of a peer of ours: four times what an engine asks ahead. Beyond, it is closed. */
  readonly receivedRequestsMax: number;
  /** Unanswered requests of a foreign peer, announced as `reqq`. Beyond, they are rejected. */
  readonly foreignRequestsMax: number;
  /** Blocks asked of a foreign peer at once, if its `reqq` allows: 2 MiB, 16 ms at 1 Gbit/s. */
  readonly foreignBlocksMax: number;
}

const MIB = 1024 * 1024;

export const WIRE_LIMITS: WireLimits = {
  handshakeTimeoutMs: 5_000,
  idleTimeoutMs: 120_000,
  keepAliveMs: 55_000,
  writeStallMs: 30_000,
  messageStallMs: 30_000,
  tickMs: 1_000,
  queuedBytesHigh: MIB,
  queuedBytesLow: MIB / 2,
  queuedBytesSlack: 4 * MIB,
  writeBatchBytes: MIB / 4,
  receivedRequestsMax: 256,
  foreignRequestsMax: 512,
  foreignBlocksMax: 128,
};
