/**
 * The tracker in virtual time: the real registry of swarms, one stream per agent, files over HTTP, and a CPU that every message
 * and request costs. Messages are encoded for their size and travel as objects.
 */
import {
  type AgentMessage,
  encodeTrackerMessage,
  MemberOrder,
  SIGNALLING_VERSION,
  SwarmRegistry,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import type { Host, Network, Stream } from './network.ts';
import { Cpu, type SimCosts } from './sim-costs.ts';
import type { SimMessage } from './sim-message.ts';
import type { SimNode } from './sim-node.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** A hello or a join with its WebSocket and TCP headers. */
const AGENT_MESSAGE_BYTES = 160;
const CONTROL = 0;

export interface SimTrackerOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly host: Host;
  /** 40 hex digits. */
  readonly image: string;
  /** Host names of the origins. */
  readonly origins: readonly string[];
  readonly costs: SimCosts;
}

export class SimTracker {
  readonly host: Host;
  readonly #options: SimTrackerOptions;
  readonly #registry = new SwarmRegistry('00'.repeat(32));
  readonly #streams = new Map<number, Stream<SimMessage>>();
  readonly #cpu = new Cpu();
  #nextConnection = 1;
  #armedAt = Infinity;
  isStopped = false;

  constructor(options: SimTrackerOptions) {
    this.#options = options;
    this.host = options.host;
    const origins = options.origins.map((host) => ({ host, port: 1 }));
    this.#registry.handle({ type: 'origins-changed', origins }, 0);
    this.#registry.handle({ type: 'image-published', image: options.image }, 0);
    options.network.listen(options.host, (stream, remote) => {
      const connection = this.#nextConnection;
      this.#nextConnection += 1;
      return {
        onOpen: () => {},
        onMessage: (message: SimMessage) => {
          if (message.type === 'get') return this.#answer(stream, message.bytes);
          if (!this.#streams.has(connection)) {
            this.#streams.set(connection, stream);
            this.#handle({ type: 'agent-connected', connection, remoteHost: remote.name });
          }
          this.#handle({ type: 'message', connection, message: message as AgentMessage });
        },
        onDrain: () => {},
        onClose: () => {
          if (!this.#streams.delete(connection)) return;
          this.#handle({ type: 'agent-disconnected', connection });
        },
      };
    });
  }

  stop(): void {
    this.isStopped = true;
    this.#streams.clear();
  }

  #answer(stream: Stream<SimMessage>, bytes: number): void {
    const { clock, costs } = this.#options;
    clock.at(this.#cpu.spend(clock.now, costs.httpMs + bytes * costs.httpMsPerByte), () => {
      if (!this.isStopped) stream.send({ type: 'file' }, bytes, CONTROL);
    });
  }

  #handle(input: Parameters<SwarmRegistry['handle']>[0]): void {
    const { clock, costs } = this.#options;
    clock.at(this.#cpu.spend(clock.now, costs.messageMs), () => {
      if (this.isStopped) return;
      this.#registry.handle(input, clock.now);
      this.#drain();
    });
  }

  #drain(): void {
    const { clock, costs } = this.#options;
    for (let effect = this.#registry.poll(); effect !== undefined; effect = this.#registry.poll()) {
      if (effect.type === 'close') {
        this.#streams.get(effect.connection)?.close(effect.code);
        continue;
      }
      const { connections, message } = effect;
      const bytes = encodeTrackerMessage(message).length;
      for (const connection of connections) {
        const stream = this.#streams.get(connection);
        clock.at(this.#cpu.spend(clock.now, costs.messageMs), () =>
          stream?.send(message, bytes, CONTROL),
        );
      }
    }
    this.#arm();
  }

  #arm(): void {
    const at = this.#registry.timeout() ?? Infinity;
    if (at >= this.#armedAt) return;
    this.#armedAt = at;
    const { clock } = this.#options;
    clock.at(Math.max(at, clock.now), () => {
      this.#armedAt = Infinity;
      if (this.isStopped) return;
      this.#registry.handle({ type: 'wake' }, clock.now);
      this.#drain();
    });
  }
}

/** Who is told the member order. */
export type SignalledNode = Pick<SimNode, 'name' | 'engine' | 'setMembers'>;

/** The agent's end: says hello, joins, and gives every new member order to its node. */
export class SimSignal {
  readonly #node: SignalledNode;
  readonly #order = new MemberOrder();
  #stream: Stream<SimMessage> | undefined;

  constructor(
    options: {
      network: Network<SimMessage>;
      host: Host;
      image: string;
      zone: string;
      rack: string;
    },
    tracker: Host,
    node: SignalledNode,
  ) {
    this.#node = node;
    const { network, host, image, zone, rack } = options;
    const join = { type: 'join', image, piecesHad: node.engine.snapshot().have.count } as const;
    network.dial(host, tracker.name, {
      onOpen: (stream) => {
        this.#stream = stream;
        const address = { host: host.name, port: 1 };
        const version = SIGNALLING_VERSION;
        const hello = { type: 'hello', version, node: node.name, zone, rack, address } as const;
        stream.send(hello, AGENT_MESSAGE_BYTES, CONTROL);
        stream.send(join, AGENT_MESSAGE_BYTES, CONTROL);
      },
      onMessage: (message) => this.#onMessage(message as TrackerMessage, join),
      onDrain: () => {},
      onClose: () => {
        this.#stream = undefined;
      },
    });
  }

  #onMessage(message: TrackerMessage, join: AgentMessage): void {
    if (message.type !== 'members') return;
    if (!this.#order.apply(message)) {
      this.#stream?.send(join, AGENT_MESSAGE_BYTES, CONTROL);
      return;
    }
    const members = this.#order.members.map(({ node, zone, rack, address }) => ({
      node,
      zone,
      rack,
      ...address,
    }));
    this.#node.setMembers(members, this.#order.origins);
  }
}
