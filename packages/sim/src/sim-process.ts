/**
 * A process on a host: the CPU that its engines share, and the port where their swarms accept peers. The handshake, which the
 * dialling end sends first, says which swarm is meant.
 */
import type { Host, Network, Stream, StreamEnd } from './network.ts';
import { Cpu } from './sim-costs.ts';
import type { SimMessage, SimSwarm } from './sim-message.ts';

type Accept = () => StreamEnd<SimMessage>;

export class SimProcess {
  readonly cpu = new Cpu();
  readonly #accepts = new Map<SimSwarm, Accept>();

  constructor(network: Network<SimMessage>, host: Host) {
    network.listen(host, (stream) => this.#onIncoming(stream));
  }

  /** From now on streams of this swarm get their end from `accept`, and from no earlier one. */
  accept(swarm: SimSwarm, accept: Accept): void {
    this.#accepts.set(swarm, accept);
  }

  #onIncoming(stream: Stream<SimMessage>): StreamEnd<SimMessage> {
    let end: StreamEnd<SimMessage> | undefined;
    return {
      onOpen: () => {},
      onMessage: (message, bytes) => {
        if (end === undefined && message.type === 'handshake') {
          end = this.#accepts.get(message.swarm)?.();
          end?.onOpen(stream);
        }
        if (end) end.onMessage(message, bytes);
        else stream.close('info-hash-unknown');
      },
      onDrain: () => end?.onDrain(),
      onClose: (reason) => end?.onClose(reason),
    };
  }
}
