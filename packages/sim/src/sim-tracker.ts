/**
 * The tracker in virtual time: the real registry of swarms, one stream per agent, files over HTTP, and a CPU that every message
 * and request costs. Messages are encoded for their size and travel as objects.
 */
import type { Random } from '@bootswarm/stdx';
import type { MemberDirectory } from '@bootswarm/swarm-proto';
import {
  type AgentMessage,
  encodeAgentMessage,
  encodeTrackerMessage,
  type KindRecord,
  SIGNALLING_VERSION,
  SUSPECTS_MAX,
  SwarmRegistry,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import { applyMembers, type KnownOrder } from './known-order.ts';
import type { Host, Network, Stream } from './network.ts';
import { Redial } from './redial.ts';
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
    this.#registry.handle(
      { type: 'image-published', image, pieceCount, kinds, isPrejoined: false },
      0,
    );
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

  /** The process is gone. */
  stop(): void {
    this.isStopped = true;
    this.#streams.clear();
  }

  /** Puts a node into the swarm that said hello and joined, and of which nothing was heard since. */
  putSilent(host: Host): void {
    const { name, zone, rack } = host;
    const { image } = this.#options;
    const connection = this.#nextConnection;
    this.#nextConnection += 1;
    this.#handle({ type: 'agent-connected', connection, remoteHost: name });
    const hello = helloOf(name, zone, rack, name);
    this.#handle({ type: 'message', connection, message: hello });
    const join = { type: 'join', image, piecesHad: 0 } as const;
    this.#handle({ type: 'message', connection, message: join });
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
      // Nothing is kept: a run is over before its tracker restarts.
      if (effect.type === 'learned' || effect.type === 'reported') continue;
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

export type Origins = readonly { readonly host: string; readonly port: number }[];

export interface SimSignalOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly tracker: Host;
  readonly image: string;
  /** In the image's swarm. */
  readonly node: SimNode;
  readonly onMembers: (members: MemberDirectory, origins: Origins) => void;
  readonly random: Random;
}

/**
 * The agent's end: says hello, joins, hands on every new member order, learns boot orders with the tracker, and dials again when
 * it is gone.
 */
export class SimSignal {
  readonly #options: SimSignalOptions;
  readonly #boots: SimBoots;
  #known: KnownOrder | undefined;
  #isJoining = false;
  #stream: Stream<SimMessage> | undefined;
  readonly #redial: Redial;
  #isStopped = false;

  constructor(options: SimSignalOptions) {
    this.#options = options;
    const { clock, node, image, random } = options;
    this.#redial = new Redial(clock, random);
    this.#boots = new SimBoots(clock, node, image, (message) => this.#send(message));
    node.onSuspect = (nodes) => this.#suspect(nodes);
    this.#connect();
  }

  /** The process is gone. */
  stop(): void {
    this.#isStopped = true;
  }

  #join(): void {
    const { image, node } = this.#options;
    this.#isJoining = true;
    this.#boots.rejoin();
    this.#send({ type: 'join', image, piecesHad: node.engine.snapshot().have.count });
  }

  #connect(): void {
    const { network, tracker, node } = this.#options;
    const { name, zone, rack } = node.host;
    this.#known = undefined;
    network.dial(node.host, tracker.name, {
      onOpen: (stream) => {
        this.#stream = stream;
        this.#redial.onOpen();
        this.#send(helloOf(node.name, zone, rack, name));
        this.#join();
      },
      onMessage: (message) => this.#onMessage(message as TrackerMessage),
      onDrain: () => {},
      onClose: () => this.#onClose(),
    });
  }

  #onClose(): void {
    const { clock, node } = this.#options;
    this.#stream = undefined;
    clock.after(this.#redial.nextMs(), () =>
      node.host.whenAwake(() => {
        if (!this.#isStopped) this.#connect();
      }),
    );
  }

  /** As apps/agent: said to a tracker that is there, or not at all. */
  #suspect(nodes: readonly string[]): void {
    const { image } = this.#options;
    this.#send({ type: 'suspect', image, nodes: nodes.slice(0, SUSPECTS_MAX) });
  }

  #onMessage(message: TrackerMessage): void {
    if (this.#isStopped) return;
    if (message.type === 'boot-order') {
      // What was said before our join was heard follows on nothing.
      if (!this.#boots.apply(message) && !this.#isJoining) this.#join();
      return;
    }
    if (message.type !== 'members') return;
    const before = this.#known;
    const known = applyMembers(before, message);
    this.#known = known;
    if (known === undefined || known === before) {
      if (!this.#isJoining) this.#join();
      return;
    }
    this.#isJoining = false;
    this.#options.onMembers(known.members, known.whole.origins);
  }

  #send(message: AgentMessage): void {
    this.#stream?.send(message, encodeAgentMessage(message).length + HEADER_BYTES, CONTROL);
  }
}

function helloOf(node: string, zone: string, rack: string, host: string): AgentMessage {
  return {
    type: 'hello',
    version: SIGNALLING_VERSION,
    node,
    zone,
    rack,
    address: { host, port: 1 },
  };
}
