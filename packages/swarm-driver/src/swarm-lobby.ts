/**
 * Where wires of a swarm wait that this node is in but cannot open yet, since it is still fetching the piece layer: the others
 * know it as a member and dial it. What they say is kept in order, up to a limit, and heard when the swarm opens.
 */
import type { PeerWire, PeerWireHandlers, WireMessage, WireSwarm } from '@bootswarm/peer-wire';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import type { SwarmDriver } from './swarm-driver.ts';

/** A bitfield, all the requests a peer may have open with their classes, and announcements of some 20 s. */
const MESSAGES_MAX = 1_024;

interface Waiting {
  identity: PeerIdentity | undefined;
  readonly messages: WireMessage[];
  /** Those of the driver, once there is one. */
  handlers: PeerWireHandlers | undefined;
}

export class SwarmLobby {
  readonly swarm: WireSwarm;
  readonly #waiting = new Map<PeerWire, Waiting>();

  constructor(swarm: WireSwarm) {
    this.swarm = swarm;
  }

  handlersFor(wire: PeerWire): PeerWireHandlers {
    const waiting: Waiting = { identity: undefined, messages: [], handlers: undefined };
    this.#waiting.set(wire, waiting);
    return {
      onReady: (identity) => {
        waiting.identity = identity;
        waiting.handlers?.onReady(identity);
      },
      onMessage: (message) => {
        if (waiting.handlers) return waiting.handlers.onMessage(message);
        waiting.messages.push(message);
        if (waiting.messages.length > MESSAGES_MAX) wire.close('swarm-not-open');
      },
      onDrain: () => waiting.handlers?.onDrain(),
      onClose: (code, cause) => {
        this.#waiting.delete(wire);
        waiting.handlers?.onClose(code, cause);
      },
    };
  }

  /** The swarm is open: the driver hears who is here and what they said. */
  moveTo(driver: SwarmDriver): void {
    for (const [wire, waiting] of this.#waiting) {
      waiting.handlers = driver.handlersFor(undefined, () => wire);
      if (waiting.identity) waiting.handlers.onReady(waiting.identity);
      for (const message of waiting.messages.splice(0)) waiting.handlers.onMessage(message);
    }
    this.#waiting.clear();
  }

  /** The swarm will not be opened. */
  close(): void {
    for (const wire of this.#waiting.keys()) wire.close('swarm-closed');
  }
}
