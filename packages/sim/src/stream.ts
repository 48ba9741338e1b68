/** A stream as its two ends see it. Messages of `Message` are opaque; sizes are what the wire would carry. */

/** What an end is told. It is never called back from within its own call of a Stream. */
export interface StreamEnd<Message> {
  /** What was dialled is usable, a round trip later. The end that listens has its stream from the start. */
  onOpen(stream: Stream<Message>): void;
  /** The whole message has arrived. */
  onMessage(message: Message, bytes: number): void;
  /** Queued bytes fell below 1 MiB after having been above 4 MiB. */
  onDrain(): void;
  /** The other end closed (its reason), crashed ('reset'), or was not to be had ('refused', 'unreachable'). */
  onClose(reason: string): void;
}

export interface Stream<Message> {
  /** Bytes accepted by send() that have not begun to leave and for which the send buffer has no room. */
  readonly queuedBytes: number;
  readonly isCongested: boolean;
  /**
   * Queues a message behind what this end has sent before, except that a message of a lower `priority` number overtakes those of
   * a higher one that have not reached the send buffer (0 control, 1 demand, 2 the rest), as peer-wire's egress does.
   * Nothing happens on a stream that is closed.
   */
  send(message: Message, bytes: number, priority: number): void;
  /** Drops what waits for the send buffer, sends the rest, and then tells the other end. This end is told nothing more. */
  close(reason: string): void;
}
