/**
 * The agent's end of signalling: keeps one WebSocket to the tracker, tells it which swarms this node is in, and keeps their
 * member orders. Comes back by itself, for ever; while there is no tracker the last known orders stand and nothing else
 * stops. What to do with a member order is the swarm driver's matter.
 */
import { messageOf, ProtocolError } from '@bootswarm/stdx';
import {
  type AgentMessage,
  decodeTrackerMessage,
  encodeAgentMessage,
  type Member,
  MemberOrder,
  type NodeIdentity,
  type NodeReport,
  type PeerAddress,
  type PrefetchTask,
  SIGNALLING_VERSION,
  SUSPECTS_MAX,
  TRACKER_MESSAGE_BYTES_MAX,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import { WebSocket } from 'ws';

export type SignalState = 'connecting' | 'connected';

export interface SwarmProgress {
  readonly piecesHad: number;
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  readonly bytesSent: number;
}

export interface SwarmMembers {
  /** The whole order, this node included. */
  readonly members: readonly Member[];
  readonly origins: readonly PeerAddress[];
}

export interface SignalClientOptions {
  /** ws://HOST:PORT/v1/signal; signalUrlOf() makes it of the tracker's URL. */
  readonly url: string;
  /** Who we are and where we accept peers; an empty host: what the tracker sees. */
  readonly self: NodeIdentity;
  onMembers(image: string, members: SwarmMembers): void;
  /** A join is being sent: boots are to be told from their beginning, and boot orders will be. */
  onJoining(image: string): void;
  /** False when it does not follow on what is known. */
  onBootOrder(image: string, order: TrackerMessage & { type: 'boot-order' }): boolean;
  /** `connected` once the tracker has welcomed us. `reason`: why the last connection ended. */
  onStateChange(state: SignalState, reason: string | undefined): void;
  /** Hex of the key that signs metainfo, told with every welcome. */
  onPublisherKey(publisherKey: string): void;
  /** There is an image to be joined before a guest wants it; told again with every welcome. */
  onPublished(image: string): void;
  /** The swarm has been left; pieces may be kept. */
  onWithdrawn(image: string): void;
  /** All that this node is to prefetch. */
  onPrefetch(tasks: readonly PrefetchTask[]): void;
  /** The tracker did not let us into this swarm; we try again whenever we reconnect. */
  onRefused(image: string, code: string, message: string): void;
  /** A mistake of ours has cost the connection: to be logged. */
  onMistake(error: unknown): void;
  /** Default: real ones. */
  readonly timers?: SignalTimers;
}

export interface SignalTimers {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void;
  /** In [0, 1). */
  random(): number;
}

const REAL_TIMERS: SignalTimers = {
  now: () => performance.now(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** A tracker that restarts is back within a second; all of a cloud's agents waiting 10 s are 1,000 connects a second. */
const RECONNECT_DELAY_MIN_MS = 200;
const RECONNECT_DELAY_MAX_MS = 10_000;
const PROGRESS_INTERVAL_MS = 1_000;
/** The tracker pings every 15 s. */
const SILENCE_MAX_MS = 45_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Our messages are small: so many unread ones mean that nobody reads. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
/** The whole of a large member order arrives in segments. */
const BUFFERED_CHUNKS_MAX = 16_384;

interface JoinedSwarm {
  readonly image: string;
  piecesHad: number;
  order: MemberOrder;
  /** A join was sent whose answer, the whole order, is still to come. */
  isJoining: boolean;
  progress: SwarmProgress | undefined;
  progressSentAt: number;
  cancelProgress: (() => void) | undefined;
}

/** ws://HOST:PORT/v1/signal of http://HOST:PORT. */
export function signalUrlOf(trackerUrl: string): string {
  const url = new URL('/v1/signal', trackerUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

export class SignalClient {
  readonly #options: SignalClientOptions;
  readonly #timers: SignalTimers;
  readonly #trackerHost: string;
  readonly #swarms = new Map<string, JoinedSwarm>();
  #socket: WebSocket | undefined;
  #state: SignalState = 'connecting';
  #failures = 0;
  #welcomedAt = 0;
  #heardAt = 0;
  #cancelReconnect: (() => void) | undefined;
  #cancelSilence: (() => void) | undefined;
  #isClosed = false;

  constructor(options: SignalClientOptions) {
    this.#options = options;
    this.#timers = options.timers ?? REAL_TIMERS;
    this.#trackerHost = new URL(options.url).hostname.replace(/^\[(.*)\]$/, '$1');
    this.#connect();
  }

  get state(): SignalState {
    return this.#state;
  }

  /** Stays joined over reconnects until leave(). */
  join(image: string, piecesHad: number): void {
    const swarm = this.#swarms.get(image);
    if (swarm !== undefined) {
      swarm.piecesHad = piecesHad;
      return;
    }
    const joined: JoinedSwarm = {
      image,
      piecesHad,
      order: new MemberOrder(),
      isJoining: false,
      progress: undefined,
      progressSentAt: Number.NEGATIVE_INFINITY,
      cancelProgress: undefined,
    };
    this.#swarms.set(image, joined);
    if (this.#state === 'connected') this.#sendJoin(joined);
  }

  leave(image: string): void {
    const swarm = this.#swarms.get(image);
    if (swarm === undefined) return;
    this.#drop(swarm);
    if (this.#state === 'connected') this.#send({ type: 'leave', image });
  }

  /** Sent at once if none was within the last second, otherwise when it is over; only the last one counts. */
  progress(image: string, progress: SwarmProgress): void {
    const swarm = this.#swarms.get(image);
    if (swarm === undefined) return;
    swarm.progress = progress;
    swarm.piecesHad = progress.piecesHad;
    this.#scheduleProgress(swarm);
  }

  /** What happened on this node; lost while the tracker is away. */
  report(report: NodeReport): void {
    if (this.#state === 'connected') this.#send({ type: 'stats', report });
  }

  /** What a VM touched while it booted; a tracker that is away is told all of it after the next join. */
  touched(image: string, touches: Omit<AgentMessage & { type: 'touched' }, 'image'>): void {
    if (this.#state !== 'connected' || !this.#swarms.has(image)) return;
    this.#send({ ...touches, image });
  }

  /** How far a prefetch order is, or what there is of a boot order: a tracker that is away is told again later. */
  tell(message: Extract<AgentMessage, { type: 'prefetch-state' | 'boot-held' }>): void {
    if (this.#state === 'connected') this.#send(message);
  }

  /** These members of a swarm do not answer us: the tracker moves out of the way whom several suspect. */
  suspect(image: string, nodes: readonly string[]): void {
    if (this.#state !== 'connected' || !this.#swarms.has(image)) return;
    this.#send({ type: 'suspect', image, nodes: nodes.slice(0, SUSPECTS_MAX) });
  }

  /** Members stay in their swarms for the tracker's grace time. */
  close(): void {
    this.#isClosed = true;
    this.#cancelReconnect?.();
    this.#cancelSilence?.();
    for (const swarm of this.#swarms.values()) swarm.cancelProgress?.();
    this.#swarms.clear();
    this.#socket?.close(1_000);
  }

  #connect(): void {
    const socket = new WebSocket(this.#options.url, {
      perMessageDeflate: false,
      maxPayload: TRACKER_MESSAGE_BYTES_MAX,
      maxFragments: 16,
      maxBufferedChunks: BUFFERED_CHUNKS_MAX,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      followRedirects: false,
    });
    this.#socket = socket;
    let reason: string | undefined;
    socket.on('open', () => {
      this.#heard();
      this.#watchSilence(socket);
      this.#send({ type: 'hello', version: SIGNALLING_VERSION, ...this.#options.self });
    });
    socket.on('ping', () => this.#heard());
    socket.on('message', (data, isBinary) => {
      if (this.#isClosed || socket.readyState !== WebSocket.OPEN) return;
      this.#heard();
      reason = this.#receive(data as Buffer, isBinary);
      if (reason !== undefined) socket.terminate();
    });
    // 'close' always follows.
    socket.on('error', (error) => {
      reason ??= messageOf(error);
    });
    socket.on('close', (code, text) => {
      const said = text.toString();
      this.#onClose(reason ?? (said === '' ? `close code ${code}` : said), said);
    });
  }

  #onClose(reason: string, said: string): void {
    this.#socket = undefined;
    this.#cancelSilence?.();
    if (this.#isClosed) return;
    const wasStable =
      this.#state === 'connected' &&
      this.#timers.now() - this.#welcomedAt >= RECONNECT_DELAY_MAX_MS;
    if (wasStable) this.#failures = 0;
    for (const swarm of this.#swarms.values()) {
      swarm.cancelProgress?.();
      swarm.cancelProgress = undefined;
    }
    const ceiling = isHopeless(said)
      ? RECONNECT_DELAY_MAX_MS
      : Math.min(RECONNECT_DELAY_MAX_MS, RECONNECT_DELAY_MIN_MS * 2 ** this.#failures);
    this.#failures += 1;
    const delayMs = ceiling * (0.5 + this.#timers.random() / 2);
    this.#cancelReconnect = this.#timers.after(delayMs, () => this.#connect());
    this.#state = 'connecting';
    this.#options.onStateChange('connecting', reason);
  }

  /** Returns why the connection must end, if it must: a mistake of ours is to cost nothing more either. */
  #receive(data: Buffer, isBinary: boolean): string | undefined {
    if (!isBinary) return 'text-frame';
    try {
      return this.#onMessage(decodeTrackerMessage(data));
    } catch (error) {
      if (error instanceof ProtocolError) return error.code;
      this.#options.onMistake(error);
      return `internal-error: ${messageOf(error)}`;
    }
  }

  #onMessage(message: TrackerMessage): string | undefined {
    if (message.type === 'welcome') return this.#onWelcome(message);
    if (this.#state !== 'connected') return 'welcome-expected';
    if (message.type === 'prefetch') return void this.#options.onPrefetch(message.tasks);
    if (message.type === 'published') return void this.#options.onPublished(message.image);
    const swarm = this.#swarms.get(message.image);
    // What was said before our leave arrived there.
    if (swarm === undefined) return undefined;
    switch (message.type) {
      case 'members':
        return this.#onMembers(swarm, message);
      case 'boot-order':
        if (this.#options.onBootOrder(message.image, message)) break;
        // To join again would bring the same order again, at once and for ever.
        if (message.isFull) return 'boot-order-invalid';
        // What was said before our join was heard follows on nothing.
        if (!swarm.isJoining) this.#sendJoin(swarm);
        break;
      case 'withdrawn':
        this.#drop(swarm);
        this.#options.onWithdrawn(message.image);
        break;
      case 'refused':
        swarm.isJoining = false;
        this.#options.onRefused(message.image, message.code, message.message);
        break;
    }
    return undefined;
  }

  #onWelcome(welcome: TrackerMessage & { type: 'welcome' }): string | undefined {
    if (this.#state === 'connected') return 'welcome-repeated';
    if (welcome.version !== SIGNALLING_VERSION) return 'version-unsupported';
    this.#state = 'connected';
    this.#welcomedAt = this.#timers.now();
    this.#options.onPublisherKey(welcome.publisherKey);
    this.#options.onStateChange('connected', undefined);
    for (const swarm of this.#swarms.values()) {
      this.#sendJoin(swarm);
      // A tracker that was restarted knows nothing of our counters.
      if (swarm.progress !== undefined) this.#sendProgress(swarm, swarm.progress);
    }
    return undefined;
  }

  #onMembers(
    swarm: JoinedSwarm,
    message: TrackerMessage & { type: 'members' },
  ): string | undefined {
    if (!swarm.order.apply(message)) {
      // To join again would bring the same order again, at once and for ever.
      if (message.isFull) return 'members-invalid';
      if (!swarm.isJoining) this.#sendJoin(swarm);
      return undefined;
    }
    if (message.isFull) swarm.isJoining = false;
    this.#options.onMembers(swarm.image, {
      members: swarm.order.members,
      origins: swarm.order.origins.map((origin) => this.#reachable(origin)),
    });
    return undefined;
  }

  /** An origin that listens on every address of the tracker's host is reached where the tracker is. */
  #reachable(origin: PeerAddress): PeerAddress {
    const isAnyAddress = origin.host === '0.0.0.0' || origin.host === '::';
    return isAnyAddress ? { host: this.#trackerHost, port: origin.port } : origin;
  }

  #sendJoin(swarm: JoinedSwarm): void {
    swarm.order = new MemberOrder();
    swarm.isJoining = true;
    this.#options.onJoining(swarm.image);
    this.#send({ type: 'join', image: swarm.image, piecesHad: swarm.piecesHad });
  }

  #scheduleProgress(swarm: JoinedSwarm): void {
    if (this.#state !== 'connected' || swarm.cancelProgress !== undefined) return;
    const delayMs = swarm.progressSentAt + PROGRESS_INTERVAL_MS - this.#timers.now();
    if (delayMs <= 0) {
      if (swarm.progress !== undefined) this.#sendProgress(swarm, swarm.progress);
      return;
    }
    swarm.cancelProgress = this.#timers.after(delayMs, () => {
      swarm.cancelProgress = undefined;
      if (swarm.progress !== undefined) this.#sendProgress(swarm, swarm.progress);
    });
  }

  #sendProgress(swarm: JoinedSwarm, progress: SwarmProgress): void {
    swarm.progressSentAt = this.#timers.now();
    this.#send({ type: 'progress', image: swarm.image, ...progress });
  }

  #drop(swarm: JoinedSwarm): void {
    swarm.cancelProgress?.();
    this.#swarms.delete(swarm.image);
  }

  #send(message: AgentMessage): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > BUFFERED_BYTES_MAX) socket.terminate();
    else socket.send(encodeAgentMessage(message));
  }

  #heard(): void {
    this.#heardAt = this.#timers.now();
  }

  #watchSilence(socket: WebSocket): void {
    const silentForMs = this.#timers.now() - this.#heardAt;
    if (silentForMs >= SILENCE_MAX_MS) {
      socket.terminate();
      return;
    }
    this.#cancelSilence = this.#timers.after(SILENCE_MAX_MS - silentForMs, () => {
      this.#watchSilence(socket);
    });
  }
}

/** Trying again soon would only throw out the node of the same name, or be turned away again. */
function isHopeless(reason: string): boolean {
  return reason === 'replaced' || reason === 'version-unsupported';
}
