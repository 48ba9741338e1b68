/**
 * The tracker in virtual time: the real registry of swarms, one stream per agent, and a CPU that every message costs.
 * Messages are encoded for their size and travel as objects.
 */
import {
  type AgentMessage,
  encodeAgentMessage,
  encodeTrackerMessage,
  type KindRecord,
  MemberOrder,
  SIGNALLING_VERSION,
  SwarmRegistry,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import type { Host, Network, Stream } from './network.ts';
import { SimBoots } from './sim-boots.ts';
import { Cpu, type SimCosts } from './sim-costs.ts';
import type { SimMessage } from './sim-message.ts';
import type { SimNode } from './sim-node.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** WebSocket, TCP, IP and Ethernet headers of a message. */
const HEADER_BYTES = 80;
const CONTROL = 0;

export interface SimTrackerOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly host: Host;
  /** 40 hex digits. */
  readonly image: string;
  readonly pieceCount: number;
  /** What earlier boots of the image taught. */
  readonly kinds: readonly KindRecord[];
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
    const { image, pieceCount, kinds } = options;
    this.#registry.handle({ type: 'image-published', image, pieceCount, kinds }, 0);
    options.network.listen(options.host, (stream, remote) => {
      const connection = this.#nextConnection;
      this.#nextConnection += 1;
      this.#streams.set(connection, stream);
      this.#handle({ type: 'agent-connected', connection, remoteHost: remote.name });
      return {
        onOpen: () => {},
        onMessage: (message: SimMessage) =>
          this.#handle({ type: 'message', connection, message: message as AgentMessage }),
        onDrain: () => {},
        onClose: () => {
          this.#streams.delete(connection);
          this.#handle({ type: 'agent-disconnected', connection });
        },
      };
    });
  }

  stop(): void {
    this.isStopped = true;
    this.#streams.clear();
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
      // Nothing is kept: a run is over before its tracker restarts.
      if (effect.type === 'learned') continue;
      const { connections, message } = effect;
      const bytes = encodeTrackerMessage(message).length + HEADER_BYTES;
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

/** The agent's end: says hello, joins, gives every new member order to its node, and learns boot orders with the tracker. */
export class SimSignal {
  readonly #node: SimNode;
  readonly #order = new MemberOrder();
  readonly #boots: SimBoots;
  #stream: Stream<SimMessage> | undefined;
  #isJoining = false;

  constructor(
    options: {
      clock: VirtualClock;
      network: Network<SimMessage>;
      host: Host;
      image: string;
      zone: string;
      rack: string;
    },
    tracker: Host,
    node: SimNode,
  ) {
    this.#node = node;
    const { clock, network, host, image, zone, rack } = options;
    this.#boots = new SimBoots(clock, node, image, (message) => this.#send(message));
    const join = { type: 'join', image, piecesHad: node.engine.snapshot().have.count } as const;
    network.dial(host, tracker.name, {
      onOpen: (stream) => {
        this.#stream = stream;
        const address = { host: host.name, port: 1 };
        const version = SIGNALLING_VERSION;
        const hello = { type: 'hello', version, node: node.name, zone, rack, address } as const;
        this.#send(hello);
        this.#join(join);
      },
      onMessage: (message) => this.#onMessage(message as TrackerMessage, join),
      onDrain: () => {},
      onClose: () => {
        this.#stream = undefined;
      },
    });
  }

  #onMessage(message: TrackerMessage, join: AgentMessage): void {
    if (message.type === 'boot-order') {
      // What was said before our join was heard follows on nothing.
      if (!this.#boots.apply(message) && !this.#isJoining) this.#join(join);
      return;
    }
    if (message.type !== 'members') return;
    if (!this.#order.apply(message)) {
      if (!this.#isJoining) this.#join(join);
      return;
    }
    this.#isJoining = false;
    const members = this.#order.members.map(({ address, ...names }) => ({
      ...names,
      ...address,
    }));
    this.#node.setMembers(members, this.#order.origins);
  }

  #join(join: AgentMessage): void {
    this.#isJoining = true;
    this.#boots.rejoin();
    this.#send(join);
  }

  #send(message: AgentMessage): void {
    this.#stream?.send(message, encodeAgentMessage(message).length + HEADER_BYTES, CONTROL);
  }
}
