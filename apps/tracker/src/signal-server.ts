/**
 * The agents' WebSockets: bytes in and out of SwarmRegistry, on the real clock. Closes a connection that breaks the
 * protocol, falls silent or does not read; who is told what is the registry's decision. Nothing that arrives here can end
 * more than the connection it arrived on.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ProtocolError } from '@bootswarm/stdx';
import {
  AGENT_MESSAGE_BYTES_MAX,
  type AgentMessage,
  type BootOrderStats,
  type Connection,
  decodeAgentMessage,
  encodeTrackerMessage,
  type KindRecord,
  LIMITS,
  type NodeIdentity,
  type NodeReport,
  type NodeStats,
  type PeerAddress,
  type PrefetchTask,
  type RegistryEffect,
  type RegistryInput,
  type RegistryLimits,
  SwarmRegistry,
  type SwarmStats,
} from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ImageSummary } from './api.ts';
import { hostOf, whyNotUpgrade } from './signal-request.ts';

export type PublishedImage = Pick<ImageSummary, 'id' | 'pieceCount' | 'prejoin'>;

export interface SignalServerOptions {
  readonly server: Server;
  /** Hex of the key that signs metainfo. */
  readonly publisherKey: string;
  readonly log: Logger;
  /** More is known of how VMs boot from this image; `records` gives what to keep of it. */
  readonly onLearned: (image: string, records: () => readonly KindRecord[]) => void;
  /** What a node says of itself, every few seconds while there is anything to say. */
  readonly onReport?: (node: NodeIdentity, report: NodeReport) => void;
  /** What agents say of prefetch orders, and who is there to be told of them. */
  readonly prefetches?: PrefetchListener;
  readonly limits?: Partial<SignalLimits>;
}

export interface PrefetchListener {
  nodeConnected(identity: NodeIdentity): void;
  nodeGone(node: string): void;
  heard(
    node: string,
    message: Extract<AgentMessage, { type: 'prefetch-state' | 'boot-held' }>,
    images: ReadonlySet<string>,
  ): void;
}

export interface SignalLimits extends RegistryLimits {
  /** Bytes an agent has not read yet; a whole member order may come on top once. */
  readonly bufferedBytesMax: number;
  readonly pingIntervalMs: number;
  /** Without a sign of life for so long, an agent is gone. */
  readonly silenceMaxMs: number;
}

const SIGNAL_LIMITS: SignalLimits = {
  ...LIMITS,
  bufferedBytesMax: 1024 * 1024,
  pingIntervalMs: 15_000,
  /** One ping may get lost. */
  silenceMaxMs: 30_000,
};

/** Private use (RFC 6455 §7.4.2): the registry's codes; the reason says which. */
const CLOSED_BY_REGISTRY = 4_000;
const GOING_AWAY = 1_001;
const UNSUPPORTED_DATA = 1_003;
const POLICY_VIOLATION = 1_008;
const INTERNAL_ERROR = 1_011;
/** An agent that does not answer a close frame is cut off. */
const CLOSE_TIMEOUT_MS = 5_000;

/** Of a ping interval: in each, other connections are pinged. */
const PING_SLICES = 16;
/** Looked at beside the registry. */
const ABOUT_PREFETCH: ReadonlySet<string> = new Set(['hello', 'prefetch-state', 'boot-held']);

interface AgentSocket {
  readonly webSocket: WebSocket;
  lastHeardAt: number;
}

export class SignalServer {
  readonly #registry: SwarmRegistry;
  readonly #limits: SignalLimits;
  readonly #log: Logger;
  readonly #onLearned: SignalServerOptions['onLearned'];
  readonly #onReport: NonNullable<SignalServerOptions['onReport']>;
  readonly #errors = new Map<string, number>();
  readonly #server: WebSocketServer;
  readonly #sockets = new Map<Connection, AgentSocket>();
  readonly #prefetches: PrefetchListener | undefined;
  /** Nodes that are connected. */
  readonly #connectionOf = new Map<string, Connection>();
  readonly #nodeOf = new Map<Connection, string>();
  readonly #pinging: NodeJS.Timeout;
  #connections = 0;
  #pingSlice = 0;
  #waking: NodeJS.Timeout | undefined;
  #wakesAt: number | undefined;

  constructor(options: SignalServerOptions) {
    this.#limits = { ...SIGNAL_LIMITS, ...options.limits };
    this.#log = options.log;
    this.#onLearned = options.onLearned;
    this.#onReport = options.onReport ?? (() => {});
    this.#prefetches = options.prefetches;
    const { publisherKey } = options;
    this.#registry = new SwarmRegistry(publisherKey, this.#limits, performance.timeOrigin);
    // A variable, because the types do not know closeTimeout.
    const webSocketOptions = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: AGENT_MESSAGE_BYTES_MAX,
      // An agent's message is one frame; proxies may cut it, but not to pieces.
      maxFragments: 16,
      // 64 KiB in segments of 1,460 bytes are 45.
      maxBufferedChunks: 64,
      closeTimeout: CLOSE_TIMEOUT_MS,
    };
    this.#server = new WebSocketServer(webSocketOptions);
    options.server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head));
    this.#pinging = setInterval(() => this.#ping(), this.#limits.pingIntervalMs / PING_SLICES);
  }

  /** Agents may join it from now on. `kinds`: what was learned of its boots before. */
  imagePublished(image: PublishedImage, kinds: readonly KindRecord[]): void {
    const { id, pieceCount, prejoin } = image;
    const isPrejoined = prejoin === 'all';
    this.#handle({ type: 'image-published', image: id, pieceCount, kinds, isPrejoined });
  }

  /** The origin has it open: agents that join now find a source. */
  imageSeeded(image: string): void {
    this.#handle({ type: 'image-seeded', image });
  }

  imageWithdrawn(image: string): void {
    this.#handle({ type: 'image-withdrawn', image });
  }

  originsChanged(origins: readonly PeerAddress[]): void {
    this.#handle({ type: 'origins-changed', origins });
  }

  bootOrderStats(image: string): BootOrderStats[] {
    return this.#registry.bootOrderStats(image);
  }

  isConnected(node: string): boolean {
    return this.#registry.isConnected(node);
  }

  /** Connections that were closed for what their agents did, by code. */
  get errors(): ReadonlyMap<string, number> {
    return this.#errors;
  }

  get agentCount(): number {
    return this.#registry.agentCount;
  }

  swarms(): SwarmStats[] {
    return this.#registry.swarms();
  }

  /** What it has of each image whose swarm it is in; undefined when it is not connected. */
  node(name: string): { readonly image: string; readonly piecesHad: number }[] | undefined {
    const connection = this.#connectionOf.get(name);
    const known = connection === undefined ? undefined : this.#registry.nodeOf(connection);
    return (
      known &&
      Array.from(known.memberships, ([image, { swarm }]) => ({
        image,
        piecesHad: swarm.piecesHadBy(name),
      }))
    );
  }

  /** `connectedAtMs` is of performance.now(). */
  nodes(): NodeStats[] {
    return this.#registry.nodes();
  }

  /** Agents stay in their swarms and come back to the next tracker. */
  close(): void {
    clearInterval(this.#pinging);
    clearTimeout(this.#waking);
    for (const { webSocket } of this.#sockets.values()) {
      webSocket.close(GOING_AWAY, 'tracker-stopping');
    }
    this.#sockets.clear();
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const refusal = whyNotUpgrade(request);
    if (refusal !== undefined) {
      // Destroyed once it is sent: HTTP sockets would else stay half open for as long as the caller likes.
      const answer = `HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
      socket.end(answer, () => socket.destroy());
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#onConnection(webSocket, hostOf(request.socket.remoteAddress));
    });
  }

  #onConnection(webSocket: WebSocket, remoteHost: string): void {
    this.#connections += 1;
    const connection = this.#connections;
    const agent = { webSocket, lastHeardAt: performance.now() };
    this.#sockets.set(connection, agent);
    webSocket.on('message', (data, isBinary) => {
      agent.lastHeardAt = performance.now();
      this.#onMessage(connection, data as Buffer, isBinary);
    });
    for (const sign of ['ping', 'pong'] as const) {
      webSocket.on(sign, () => {
        agent.lastHeardAt = performance.now();
      });
    }
    // ws has closed the connection with the code that fits, and 'close' follows.
    webSocket.on('error', (error) =>
      this.#log.warn({ connection, error: error.message }, 'bad frame'),
    );
    webSocket.on('close', () => this.#forget(connection));
    this.#handle({ type: 'agent-connected', connection, remoteHost });
  }

  #onMessage(connection: Connection, data: Buffer, isBinary: boolean): void {
    if (!this.#sockets.has(connection)) return;
    if (!isBinary) {
      this.#close(connection, UNSUPPORTED_DATA, 'text-frame');
      return;
    }
    try {
      const message = decodeAgentMessage(data);
      if (message.type === 'hello') this.#log.info({ connection, node: message.node }, 'agent');
      this.#handle({ type: 'message', connection, message });
      this.#heard(connection, message);
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.#log.warn({ connection, code: error.code, ...error.data }, 'bad message');
        this.#count(error.code);
        this.#close(connection, POLICY_VIOLATION, error.code);
        return;
      }
      this.#mistaken(connection, error);
      this.#close(connection, INTERNAL_ERROR, 'internal-error');
    }
  }

  /** What it does with prefetch orders, of an agent that the registry has let in. */
  #heard(connection: Connection, message: AgentMessage): void {
    if (!ABOUT_PREFETCH.has(message.type)) return;
    const known = this.#registry.nodeOf(connection);
    if (known === undefined) return;
    const { identity, memberships } = known;
    if (message.type === 'hello') {
      this.#connectionOf.set(identity.node, connection);
      this.#nodeOf.set(connection, identity.node);
      this.#prefetches?.nodeConnected(identity);
    } else if (message.type === 'prefetch-state' || message.type === 'boot-held') {
      this.#prefetches?.heard(identity.node, message, new Set(memberships.keys()));
    }
  }

  /** Nothing when the node is not connected: it is told when it is. */
  tellPrefetch(node: string, tasks: readonly PrefetchTask[]): void {
    const connection = this.#connectionOf.get(node);
    if (connection === undefined) return;
    this.#send(connection, encodeTrackerMessage({ type: 'prefetch', tasks }));
  }

  #handle(input: RegistryInput): void {
    this.#registry.handle(input, performance.now());
    for (let effect = this.#registry.poll(); effect !== undefined; effect = this.#registry.poll()) {
      this.#carryOut(effect);
    }
    this.#scheduleWake();
  }

  #carryOut(effect: RegistryEffect): void {
    if (effect.type === 'close') {
      const { connection, code } = effect;
      this.#log.info({ connection, code }, 'closing agent connection');
      this.#count(code);
      // The registry has forgotten it already.
      const agent = this.#sockets.get(connection);
      this.#sockets.delete(connection);
      this.#gone(connection);
      agent?.webSocket.close(CLOSED_BY_REGISTRY, code);
      return;
    }
    if (effect.type === 'learned') {
      const { image } = effect;
      this.#onLearned(image, () => this.#registry.bootOrder(image));
      return;
    }
    if (effect.type === 'reported') {
      this.#onReport(effect.node, effect.report);
      return;
    }
    const bytes = encodeTrackerMessage(effect.message);
    for (const connection of effect.connections) this.#send(connection, bytes);
  }

  #send(connection: Connection, bytes: Buffer): void {
    const webSocket = this.#sockets.get(connection)?.webSocket;
    if (webSocket === undefined) return;
    if (webSocket.bufferedAmount > this.#limits.bufferedBytesMax) {
      this.#log.warn(
        { connection, bufferedBytes: webSocket.bufferedAmount },
        'agent does not read',
      );
      // Its 'close' is emitted later, so the registry is not called back from its own effect.
      webSocket.terminate();
      return;
    }
    webSocket.send(bytes);
  }

  #close(connection: Connection, code: number, reason: string): void {
    const agent = this.#sockets.get(connection);
    this.#forget(connection);
    agent?.webSocket.close(code, reason);
  }

  #count(code: string): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  #forget(connection: Connection): void {
    if (!this.#sockets.delete(connection)) return;
    try {
      this.#handle({ type: 'agent-disconnected', connection });
      this.#gone(connection);
    } catch (error) {
      this.#mistaken(connection, error);
    }
  }

  /** A mistake of ours in what one connection brought: the others go on. */
  #mistaken(connection: Connection, error: unknown): void {
    this.#log.error({ connection, err: error }, 'not handled');
    this.#count('internal-error');
  }

  /** Unless its node has come back on another connection. */
  #gone(connection: Connection): void {
    const node = this.#nodeOf.get(connection);
    this.#nodeOf.delete(connection);
    if (node === undefined || this.#connectionOf.get(node) !== connection) return;
    this.#connectionOf.delete(node);
    this.#prefetches?.nodeGone(node);
  }

  #scheduleWake(): void {
    const at = this.#registry.timeout();
    // One timer; an earlier one than needed costs nothing but a look.
    if (at === undefined || (this.#wakesAt !== undefined && this.#wakesAt <= at)) return;
    clearTimeout(this.#waking);
    this.#wakesAt = at;
    this.#waking = setTimeout(
      () => {
        this.#wakesAt = undefined;
        this.#handle({ type: 'wake' });
      },
      Math.max(0, Math.ceil(at - performance.now())),
    );
  }

  /** A part of the connections each time: all 10,000 at once would hold up what agents say. */
  #ping(): void {
    this.#pingSlice = (this.#pingSlice + 1) % PING_SLICES;
    const now = performance.now();
    for (const [connection, { webSocket, lastHeardAt }] of this.#sockets) {
      if (connection % PING_SLICES !== this.#pingSlice) continue;
      if (now - lastHeardAt > this.#limits.silenceMaxMs) webSocket.terminate();
      else webSocket.ping();
    }
  }
}
