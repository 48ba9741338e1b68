/**
 * Who is connected, and who is in which swarm: decides what every agent is told, and when. It is rebuilt from hellos and
 * joins after a restart and stores nothing. Knows no sockets and no clock; the catalogue tells it which images exist.
 */
import { assert, unreachable } from '@bootswarm/stdx';
import type { KindRecord } from './boot-order-book.ts';
import { BootOrders } from './boot-orders.ts';
import { DeadlineQueue } from './deadline-queue.ts';
import { MessageBudget } from './message-budget.ts';
import { MEMBERS_MAX } from './message-schema.ts';
import type { AgentMessage } from './messages.ts';
import { SIGNALLING_VERSION } from './messages.ts';
import type {
  BootOrderStats,
  CloseCode,
  Connection,
  NodeStats,
  RegistryEffect,
  RegistryInput,
  RegistryLimits,
  SwarmStats,
} from './registry-io.ts';
import { LIMITS } from './registry-io.ts';
import type { Agent, KnownNode, Membership, Node } from './registry-node.ts';
import { SwarmEpochs } from './swarm-epochs.ts';

export class SwarmRegistry {
  readonly #publisherKey: string;
  readonly #limits: RegistryLimits;
  readonly #agents = new Map<Connection, Agent>();
  readonly #nodes = new Map<string, Node>();
  /** Of every image there is. */
  readonly #bootOrders = new BootOrders();
  /** Images that agents are told of before they want them, the newest last. */
  readonly #prejoined = new Set<string>();
  readonly #wallClockMs: number;
  readonly #swarms: SwarmEpochs;
  readonly #effects: RegistryEffect[] = [];
  readonly #hellosDue: DeadlineQueue<Agent>;
  /** Memberships whose connection is gone: each ends unless its node joins again in time. */
  readonly #inGrace: DeadlineQueue<Membership>;

  /** `publisherKey`: hex of the public key that signs metainfo; `wallClockMs`: when handle()'s clock was at 0. */
  constructor(publisherKey: string, limits: RegistryLimits = LIMITS, wallClockMs = 0) {
    this.#wallClockMs = wallClockMs;
    this.#publisherKey = publisherKey;
    this.#limits = limits;
    this.#hellosDue = new DeadlineQueue(limits.helloTimeoutMs);
    this.#inGrace = new DeadlineQueue(limits.graceMs);
    this.#swarms = new SwarmEpochs(limits.epochIntervalMs, (effect) => this.#effects.push(effect));
  }

  handle(input: RegistryInput, now: number): void {
    this.#wake(now);
    switch (input.type) {
      case 'agent-connected':
        this.#agentConnected(input.connection, input.remoteHost, now);
        return;
      case 'message':
        this.#message(input.connection, input.message, now);
        return;
      case 'agent-disconnected':
        this.#forget(input.connection, now);
        return;
      case 'image-published':
        if (!this.#bootOrders.has(input.image)) {
          this.#bootOrders.add(input.image, input.pieceCount, input.kinds);
        }
        // Told again when it changes: an image may be made private.
        if (input.isPrejoined) this.#prejoined.add(input.image);
        else this.#prejoined.delete(input.image);
        return;
      case 'image-seeded':
        this.#imageSeeded(input.image);
        return;
      case 'image-withdrawn':
        this.#imageWithdrawn(input.image);
        return;
      case 'origins-changed':
        this.#swarms.setOrigins(input.origins, now);
        return;
      case 'wake':
        return;
      default:
        unreachable(input);
    }
  }

  poll(): RegistryEffect | undefined {
    // Effects are drained after each input, so the list is short and shift() is cheap.
    return this.#effects.shift();
  }

  /** When to call handle() with `wake`, or undefined when nothing waits. */
  timeout(): number | undefined {
    let next: number | undefined;
    for (const queue of [this.#hellosDue, this.#inGrace, this.#swarms, this.#bootOrders]) {
      const at = queue.nextAt();
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    return next;
  }

  /** What is worth keeping of how VMs boot from this image, for the next `image-published`. */
  bootOrder(image: string): readonly KindRecord[] {
    return this.#bootOrders.records(image);
  }

  bootOrderStats(image: string): BootOrderStats[] {
    return this.#bootOrders.stats(image);
  }

  /** Who said hello on this connection; undefined before, and when it is closed. */
  nodeOf(connection: Connection): KnownNode | undefined {
    return this.#agents.get(connection)?.node;
  }

  /** Agents that are connected and said hello. */
  get agentCount(): number {
    return [...this.#agents.values()].filter(({ node }) => node !== undefined).length;
  }

  isConnected(node: string): boolean {
    return this.#nodes.get(node)?.agent !== undefined;
  }

  swarms(): SwarmStats[] {
    return Array.from(this.#swarms.all, ({ image, epoch, members }) => ({ image, epoch, members }));
  }

  /** Nodes that are connected. */
  nodes(): NodeStats[] {
    const stats: NodeStats[] = [];
    for (const { node, connectedAt } of this.#agents.values()) {
      if (node === undefined) continue;
      const images = [...node.memberships.keys()];
      stats.push({ identity: node.identity, connectedAtMs: connectedAt, images });
    }
    return stats;
  }

  #wake(now: number): void {
    for (let agent = this.#hellosDue.takeDue(now); agent; agent = this.#hellosDue.takeDue(now)) {
      this.#close(agent.connection, 'hello-timeout', now);
    }
    for (let due = this.#inGrace.takeDue(now); due; due = this.#inGrace.takeDue(now)) {
      this.#endMembership(due, now);
    }
    this.#swarms.wake(now);
    this.#tellOrders(now);
  }

  #agentConnected(connection: Connection, remoteHost: string, now: number): void {
    assert(!this.#agents.has(connection), `connection ${connection} is used again`);
    if (this.#agents.size >= this.#limits.agentsMax) {
      this.#effects.push({ type: 'close', connection, code: 'too-many-agents' });
      return;
    }
    const { messagesPerSecondMax, messagesBurstMax } = this.#limits;
    const agent: Agent = {
      connection,
      remoteHost,
      connectedAt: now,
      node: undefined,
      budget: new MessageBudget(messagesPerSecondMax, messagesBurstMax, now),
    };
    this.#agents.set(connection, agent);
    this.#hellosDue.add(agent, now);
  }

  #message(connection: Connection, message: AgentMessage, now: number): void {
    const agent = this.#agents.get(connection);
    // What was in flight when the registry closed the connection.
    if (agent === undefined) return;
    if (!agent.budget.spend(now)) {
      this.#close(connection, 'too-many-messages', now);
      return;
    }
    if (message.type === 'hello') {
      this.#hello(agent, message, now);
      return;
    }
    if (agent.node === undefined) {
      this.#close(connection, 'hello-expected', now);
      return;
    }
    switch (message.type) {
      case 'join':
        this.#join(agent, agent.node, message.image, message.piecesHad, now);
        return;
      case 'leave':
        this.#leave(agent.node, message.image, now);
        return;
      case 'touched':
        this.#touched(agent.node, message, now);
        return;
      case 'suspect':
        this.#suspect(agent.node, message.image, message.nodes, now);
        return;
      case 'progress': {
        const { type: _, image, ...progress } = message;
        // One for a swarm it is not in crossed the image's withdrawal on the way.
        agent.node.memberships.get(image)?.swarm.progress(agent.node.identity.node, progress);
        return;
      }
      case 'stats':
        this.#effects.push({ type: 'reported', node: agent.node.identity, report: message.report });
        return;
      case 'prefetch-state':
      case 'boot-held':
        // The driver's, who asks nodeOf() whether it still counts.
        return;
      default:
        unreachable(message);
    }
  }

  #hello(agent: Agent, hello: AgentMessage & { type: 'hello' }, now: number): void {
    const { connection, remoteHost } = agent;
    if (agent.node !== undefined) {
      this.#close(connection, 'hello-repeated', now);
      return;
    }
    if (hello.version !== SIGNALLING_VERSION) {
      this.#close(connection, 'version-unsupported', now);
      return;
    }
    this.#hellosDue.remove(agent);
    const host = hello.address.host === '' ? remoteHost : hello.address.host;
    const { node: name, zone, rack } = hello;
    const identity = { node: name, zone, rack, address: { host, port: hello.address.port } };
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = { identity, agent: undefined, memberships: new Map() };
      this.#nodes.set(name, node);
    } else if (node.agent !== undefined) {
      // The older one is a connection that died unnoticed, or a second host of the same name.
      this.#close(node.agent.connection, 'replaced', now);
      this.#nodes.set(name, node);
    }
    node.identity = identity;
    node.agent = agent;
    agent.node = node;
    const publisherKey = this.#publisherKey;
    this.#send(connection, { type: 'welcome', version: SIGNALLING_VERSION, publisherKey });
    const newest = [...this.#prejoined].slice(-this.#limits.prejoinsPerAgentMax).reverse();
    for (const image of newest) this.#send(connection, { type: 'published', image });
  }

  #join(agent: Agent, node: Node, image: string, piecesHad: number, now: number): void {
    let membership = node.memberships.get(image);
    if (membership === undefined) {
      const refusal = this.#whyNotJoin(node, image);
      if (refusal !== undefined) {
        this.#send(agent.connection, { type: 'refused', ...refusal, image });
        return;
      }
      membership = { node, swarm: this.#swarms.of(image) };
      node.memberships.set(image, membership);
    }
    this.#inGrace.remove(membership);
    membership.swarm.put(node.identity, piecesHad);
    membership.swarm.subscribe(agent.connection);
    this.#swarms.touch(membership.swarm, now);
    // It tells them again from their beginning.
    this.#bootOrders.forget(image, node.identity.node);
    const order = this.#bootOrders.whole(image);
    if (order === undefined) return;
    this.#send(agent.connection, { type: 'boot-order', isFull: true, ...order });
  }

  #whyNotJoin(node: Node, image: string): { code: string; message: string } | undefined {
    if (!this.#bootOrders.has(image)) {
      return { code: 'image-not-found', message: 'The tracker has no such image.' };
    }
    const { swarmsPerAgentMax } = this.#limits;
    if (node.memberships.size >= swarmsPerAgentMax) {
      const message = `A node may be in ${swarmsPerAgentMax} swarms at once.`;
      return { code: 'too-many-swarms', message };
    }
    // Nodes whose connection is gone count too, so the agents' limit does not bound a swarm.
    if ((this.#swarms.get(image)?.size ?? 0) >= MEMBERS_MAX) {
      return { code: 'swarm-full', message: `A swarm has at most ${MEMBERS_MAX} members.` };
    }
    return undefined;
  }

  #leave(node: Node, image: string, now: number): void {
    const membership = node.memberships.get(image);
    if (membership === undefined) return;
    this.#inGrace.remove(membership);
    this.#endMembership(membership, now);
  }

  #touched(node: Node, message: AgentMessage & { type: 'touched' }, now: number): void {
    const { image, boot, pieceIndexes, isOver } = message;
    if (!node.memberships.has(image)) return;
    const nowMs = Math.round(this.#wallClockMs + now);
    const { node: name } = node.identity;
    if (this.#bootOrders.touched(image, name, boot, pieceIndexes, isOver, now, nowMs)) {
      this.#effects.push({ type: 'learned', image });
    }
    this.#tellOrders(now);
  }

  #tellOrders(now: number): void {
    const membersOf = (image: string): number => this.#swarms.get(image)?.size ?? 0;
    for (
      let change = this.#bootOrders.takeDue(now, membersOf);
      change;
      change = this.#bootOrders.takeDue(now, membersOf)
    ) {
      const connections = this.#swarms.get(change.image)?.subscribers ?? [];
      if (connections.length === 0) continue;
      const message = { type: 'boot-order', isFull: false, ...change } as const;
      this.#effects.push({ type: 'send', connections, message });
    }
  }

  #suspect(node: Node, image: string, nodes: readonly string[], now: number): void {
    const swarm = node.memberships.get(image)?.swarm;
    if (swarm === undefined) return;
    swarm.suspect(node.identity.node, nodes, now);
    if (swarm.isDirty) this.#swarms.touch(swarm, now);
  }

  /** The connection is gone; what its node is in stays for the grace time. */
  #forget(connection: Connection, now: number): void {
    const agent = this.#agents.get(connection);
    if (agent === undefined) return;
    this.#agents.delete(connection);
    this.#hellosDue.remove(agent);
    const { node } = agent;
    if (node === undefined) return;
    node.agent = undefined;
    for (const membership of node.memberships.values()) {
      membership.swarm.unsubscribe(connection);
      // One that waits already was not joined on this connection: its time runs on.
      if (!this.#inGrace.has(membership)) this.#inGrace.add(membership, now);
    }
    this.#dropIfGone(node);
  }

  #endMembership({ node, swarm }: Membership, now: number): void {
    node.memberships.delete(swarm.image);
    if (node.agent !== undefined) swarm.unsubscribe(node.agent.connection);
    swarm.remove(node.identity.node);
    this.#bootOrders.forget(swarm.image, node.identity.node);
    this.#dropIfGone(node);
    if (swarm.size === 0) {
      this.#swarms.drop(swarm);
    } else {
      this.#swarms.touch(swarm, now);
    }
  }

  #dropIfGone(node: Node): void {
    if (node.agent === undefined && node.memberships.size === 0) {
      this.#nodes.delete(node.identity.node);
    }
  }

  #imageSeeded(image: string): void {
    if (!this.#prejoined.has(image)) return;
    const greeted = [...this.#agents.values()].filter(({ node }) => node !== undefined);
    const connections = greeted.map(({ connection }) => connection);
    if (connections.length === 0) return;
    this.#effects.push({ type: 'send', connections, message: { type: 'published', image } });
  }

  #imageWithdrawn(image: string): void {
    this.#bootOrders.remove(image);
    this.#prejoined.delete(image);
    const swarm = this.#swarms.get(image);
    if (swarm === undefined) return;
    for (const name of swarm.nodes) {
      const node = this.#nodes.get(name);
      assert(node !== undefined, `member ${name} is no node`);
      const membership = node.memberships.get(image);
      assert(membership !== undefined, `node ${name} is not in ${image}`);
      this.#inGrace.remove(membership);
      node.memberships.delete(image);
      this.#dropIfGone(node);
    }
    const connections = swarm.subscribers;
    if (connections.length > 0) {
      this.#effects.push({ type: 'send', connections, message: { type: 'withdrawn', image } });
    }
    this.#swarms.drop(swarm);
  }

  #send(connection: Connection, message: (RegistryEffect & { type: 'send' })['message']): void {
    this.#effects.push({ type: 'send', connections: [connection], message });
  }

  #close(connection: Connection, code: CloseCode, now: number): void {
    this.#effects.push({ type: 'close', connection, code });
    this.#forget(connection, now);
  }
}
