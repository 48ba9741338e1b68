/** The far end of many signalling connections in one process: says hello, joins one swarm each, announces at a steady rate. */
import { once } from 'node:events';
import {
  type AgentMessage,
  encodeAgentMessage,
  type NodeReport,
  SIGNALLING_VERSION,
} from '@bootswarm/tracker-proto';
import { WebSocket } from 'ws';

/** At once: the tracker's backlog, and ours, are a few thousand. */
const CONNECTING_MAX = 100;
const TICK_MS = 2;

export class AnnouncingAgents {
  readonly #sockets: WebSocket[] = [];
  readonly #images: readonly string[];

  private constructor(images: readonly string[]) {
    this.#images = images;
  }

  /** Resolves when all have joined and heard their member order. */
  static async connect(
    url: string,
    count: number,
    images: readonly string[],
  ): Promise<AnnouncingAgents> {
    const agents = new AnnouncingAgents(images);
    const signalUrl = `${url.replace(/^http/, 'ws')}/v1/signal`;
    for (let from = 0; from < count; from += CONNECTING_MAX) {
      const batch = Array.from({ length: Math.min(CONNECTING_MAX, count - from) }, (_, index) =>
        agents.#connectOne(signalUrl, from + index),
      );
      await Promise.all(batch);
    }
    return agents;
  }

  get connected(): number {
    return this.#sockets.filter(({ readyState }) => readyState === WebSocket.OPEN).length;
  }

  /** Resolves with the milliseconds that each took. */
  async announce(perSecond: number, seconds: number): Promise<number[]> {
    const latencies: number[] = [];
    const onPong = (data: Buffer): void => {
      latencies.push(performance.now() - Number(data.toString('latin1')));
    };
    for (const socket of this.#sockets) socket.on('pong', onPong);
    const startedAt = performance.now();
    let sent = 0;
    const ended = Promise.withResolvers<void>();
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - startedAt;
      const due = Math.min(elapsedMs / 1_000, seconds) * perSecond;
      for (; sent < due; sent += 1) this.#announceOne(sent);
      if (elapsedMs >= seconds * 1_000) ended.resolve();
    }, TICK_MS);
    await ended.promise;
    clearInterval(timer);
    while (latencies.length < sent) await new Promise((resolve) => setTimeout(resolve, 10));
    return latencies;
  }

  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  async #connectOne(url: string, index: number): Promise<void> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    this.#sockets[index] = socket;
    const ordered = Promise.withResolvers<void>();
    let messages = 0;
    socket.on('message', () => {
      messages += 1;
      // The welcome, and the order.
      if (messages === 2) ordered.resolve();
    });
    socket.on('error', ordered.reject);
    await once(socket, 'open');
    const node = `node-${index}`;
    const address = { host: '127.0.0.1', port: 1_024 + (index % 60_000) };
    const image = this.#imageOf(index);
    socket.send(
      encodeAgentMessage({
        ...{ type: 'hello', version: SIGNALLING_VERSION, node, zone: `z${index % 4}` },
        ...{ rack: `r${index % 40}`, address },
      }),
    );
    socket.send(encodeAgentMessage({ type: 'join', image, piecesHad: 0 }));
    await ordered.promise;
  }

  #announceOne(number: number): void {
    const index = number % this.#sockets.length;
    const socket = this.#sockets[index];
    const bytes = Math.floor(number / this.#sockets.length);
    const message: AgentMessage = {
      type: 'progress',
      ...{ image: this.#imageOf(index), piecesHad: 1, bytesFromPeers: bytes },
      ...{ bytesFromOrigin: bytes, bytesSent: bytes },
    };
    // Each agent in turn sends the one and the other.
    const isReport = (number + bytes) % 2 === 0;
    socket.send(encodeAgentMessage(isReport ? { type: 'stats', report: REPORT } : message));
    socket.ping(String(performance.now()));
  }

  #imageOf(index: number): string {
    return this.#images[index % this.#images.length];
  }
}

const REPORT: NodeReport = {
  ...{ intervalMs: 2_000, vmsBooting: 1, vmsConnected: 1 },
  ...{ readCache: 65_536, readPeers: 65_536, readOrigin: 0 },
  ...{ receivedPeers: 65_536, receivedOrigin: 65_536, cacheBytes: 2 ** 30, cacheBytesMax: 0 },
  ...{ originReads: [], alarms: [] },
};
