/**
 * Ranges of the image over a stream, one answer per request: an iSCSI or NBD target, or an HTTP server, and who asks it. Either
 * end is one process, to which a byte costs the CPU that it costs our own agents. Knows no cache and no tree.
 */
import type { Host, Stream } from '../network.ts';
import type { Cpu } from '../sim-costs.ts';
import type { BlockMessage, SimMessage } from '../sim-message.ts';
import type { StormWorld } from '../storm-world.ts';

/** A SCSI command or NBD request with its headers; the same comes back in front of the data. */
const COMMAND_BYTES = 96;
const CONTROL = 0;
const DATA = 2;

/** Where a service gets a range from; `done` within the call when it is at hand. */
export type RangeSource = (offset: number, length: number, done: () => void) => void;

export class BlockService {
  readonly #world: StormWorld;
  readonly #cpu: Cpu;
  readonly #source: RangeSource;
  /** Of the image. */
  bytesSent = 0;

  constructor(world: StormWorld, host: Host, cpu: Cpu, source: RangeSource) {
    this.#world = world;
    this.#cpu = cpu;
    this.#source = source;
    world.network.listen(host, (stream) => ({
      onOpen: () => {},
      onMessage: (message) => this.#onRequest(stream, message as BlockMessage),
      onDrain: () => {},
      onClose: () => {},
    }));
  }

  #onRequest(stream: Stream<SimMessage>, { tag, offset, length }: BlockMessage): void {
    const { clock, costs } = this.#world;
    const { messageMs, sendMsPerByte } = costs;
    clock.at(this.#cpu.spend(clock.now, messageMs), () => {
      this.#source(offset, length, () => {
        clock.at(this.#cpu.spend(clock.now, messageMs + length * sendMsPerByte), () => {
          this.bytesSent += length;
          stream.send({ type: 'block', tag, offset, length }, COMMAND_BYTES + length, DATA);
        });
      });
    });
  }
}

/** The other end. */
export class BlockInitiator {
  readonly #world: StormWorld;
  readonly #cpu: Cpu;
  readonly #stream: Stream<SimMessage>;
  readonly #waiting = new Map<number, () => void>();
  #nextTag = 0;

  constructor(world: StormWorld, from: Host, to: Host, cpu: Cpu) {
    this.#world = world;
    this.#cpu = cpu;
    this.#stream = world.network.dial(from, to.name, {
      onOpen: () => {},
      onMessage: (message) => this.#onBlock(message as BlockMessage),
      onDrain: () => {},
      onClose: () => {},
    });
  }

  read(offset: number, length: number, done: () => void): void {
    const tag = this.#nextTag;
    this.#nextTag += 1;
    this.#waiting.set(tag, done);
    this.#stream.send({ type: 'block', tag, offset, length }, COMMAND_BYTES, CONTROL);
  }

  #onBlock({ tag, length }: BlockMessage): void {
    const { clock, costs } = this.#world;
    const costMs = costs.messageMs + length * costs.receiveMsPerByte;
    const done = this.#waiting.get(tag)!;
    this.#waiting.delete(tag);
    clock.at(this.#cpu.spend(clock.now, costMs), done);
  }
}
