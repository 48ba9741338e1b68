/** The port of a host where its swarms accept peers: the handshake, which the dialling end sends first, says which is meant. */
import type { Host, Network, Stream, StreamEnd } from './network.ts';
import type { SimMessage, SimSwarm } from './sim-message.ts';

type Accept = (stream: Stream<SimMessage>) => StreamEnd<SimMessage>;

export class SwarmPort {
  readonly #accepts = new Map<SimSwarm, Accept>();

  constructor(network: Network<SimMessage>, host: Host) {
    network.listen(host, (stream) => this.#onIncoming(stream));
  }

  add(swarm: SimSwarm, accept: Accept): void {
    this.#accepts.set(swarm, accept);
  }

  #onIncoming(stream: Stream<SimMessage>): StreamEnd<SimMessage> {
    let end: StreamEnd<SimMessage> | undefined;
    return {
      onOpen: () => {},
      onMessage: (message, bytes) => {
        if (end === undefined && message.type === 'handshake') {
          end = this.#accepts.get(message.swarm)?.(stream);
        }
        if (end) end.onMessage(message, bytes);
        else stream.close('info-hash-unknown');
      },
      onDrain: () => end?.onDrain(),
      onClose: (reason) => end?.onClose(reason),
    };
  }
}
