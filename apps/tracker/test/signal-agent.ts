/** An agent that speaks signalling as a test tells it, on a real WebSocket. */
import { once } from 'node:events';
import {
  type AgentMessage,
  decodeTrackerMessage,
  encodeAgentMessage,
  SIGNALLING_VERSION,
  type TrackerMessage,
} from '@bootswarm/tracker-proto';
import { expect } from 'vitest';
import { WebSocket } from 'ws';

export const IMAGE = 'a'.repeat(40);
export const KEY = 'b'.repeat(64);

export class Agent {
  readonly socket: WebSocket;
  readonly closed: Promise<[number, Buffer]>;
  readonly #messages: TrackerMessage[] = [];
  #waiting: (() => void) | undefined;

  constructor(port: number, path = '/v1/signal', headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
      perMessageDeflate: false,
      headers,
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve([code, reason]));
    });
    this.socket.on('error', () => {});
    this.socket.on('message', (data) => {
      this.#messages.push(decodeTrackerMessage(data as Buffer));
      this.#waiting?.();
    });
  }

  static async hello(port: number, node: string): Promise<Agent> {
    const agent = new Agent(port);
    await once(agent.socket, 'open');
    agent.say({
      type: 'hello',
      version: SIGNALLING_VERSION,
      node,
      zone: 'z',
      rack: 'r',
      address: { host: '', port: 6_881 },
    });
    expect(await agent.next()).toEqual({
      type: 'welcome',
      version: SIGNALLING_VERSION,
      publisherKey: KEY,
    });
    return agent;
  }

  say(message: AgentMessage): void {
    this.socket.send(encodeAgentMessage(message));
  }

  join(): void {
    this.say({ type: 'join', image: IMAGE, piecesHad: 0 });
  }

  async next(): Promise<TrackerMessage> {
    while (this.#messages.length === 0) {
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.#messages.shift() as TrackerMessage;
  }

  async closedWith(): Promise<[number, string]> {
    const [code, reason] = await this.closed;
    return [code, reason.toString()];
  }
}
