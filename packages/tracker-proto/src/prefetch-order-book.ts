/**
 * The prefetch orders of a cloud: which nodes carry out which, how far each is, and what each node is to be told. Knows no
 * sockets, no files and no clock: time is passed in, milliseconds of the wall clock. After each call the driver drains poll().
 */
import { chooseNodes, type NodePlace } from './prefetch-choice.ts';
import {
  type NodePrefetch,
  PREFETCHES_ENDED_MAX,
  PREFETCHES_MAX,
  type PrefetchEffect,
  type PrefetchEnd,
  type PrefetchRecord,
  type PrefetchSpec,
  type PrefetchStats,
  type PrefetchTask,
} from './prefetch-order.ts';

/** An agent's restart, or a host's, is no reason to fetch the image somewhere else. */
const GONE_MS = 120_000;
/** A cloud that comes up is looked at once, not once for each node. */
const CHOOSE_MS = 1_000;
const NOT_BEGUN: NodePrefetch = { state: 'waiting', piecesHad: 0, piecesWanted: 0, code: '' };

interface Order {
  readonly spec: PrefetchSpec;
  end: PrefetchEnd | undefined;
  isLate: boolean;
  readonly nodes: Map<string, NodePrefetch>;
}

interface KnownNode extends NodePlace {
  /** Undefined while it is connected. */
  goneAt: number | undefined;
}

export class PrefetchOrderBook {
  readonly #orders = new Map<string, Order>();
  readonly #nodes = new Map<string, KnownNode>();
  /** Nodes to be told. */
  readonly #dirty = new Set<string>();
  readonly #effects: PrefetchEffect[] = [];
  /** When nodes are chosen again; undefined: nothing has changed. */
  #chooseAt: number | undefined;
  #now: number;
  /** Until then, nodes of an earlier run may still come back. */
  readonly #restoredUntil: number;

  /** `records`: what was kept. Their nodes have some time to come back. */
  constructor(records: readonly PrefetchRecord[], now: number) {
    this.#now = now;
    this.#restoredUntil = records.length > 0 ? now + GONE_MS : now;
    for (const { spec, end, nodes } of records) {
      this.#orders.set(spec.id, { spec, end, isLate: isLateAt(spec, now), nodes: new Map(nodes) });
      if (end === undefined) this.#chooseAt = this.#restoredUntil;
    }
  }

  /** False when there are too many. */
  add(spec: PrefetchSpec, now: number): boolean {
    this.#wake(now);
    let lasting = 0;
    for (const { end } of this.#orders.values()) if (end === undefined) lasting += 1;
    if (lasting >= PREFETCHES_MAX) return false;
    const order: Order = { spec, end: undefined, isLate: false, nodes: new Map() };
    this.#orders.set(spec.id, order);
    this.#choose(order);
    this.#effects.push({ type: 'keep' });
    this.#tellAll();
    return true;
  }

  /** False when there is no such order, or it is over. */
  cancel(id: string, now: number): boolean {
    this.#wake(now);
    const order = this.#orders.get(id);
    if (order === undefined || order.end !== undefined) return false;
    this.#over(order, 'cancelled');
    this.#tellAll();
    return true;
  }

  imageWithdrawn(image: string, now: number): void {
    this.#wake(now);
    for (const order of this.#orders.values()) {
      if (order.spec.image === image && order.end === undefined) this.#over(order, 'withdrawn');
    }
    this.#tellAll();
  }

  nodeConnected({ node, zone }: NodePlace, now: number): void {
    this.#wake(now);
    const known = this.#nodes.get(node);
    this.#nodes.set(node, { node, zone, goneAt: undefined });
    // Places count, not connections: who comes back is where it was.
    if (known?.zone !== zone) this.#chooseSoon(now + CHOOSE_MS);
    if (this.#tasksOf(node).length > 0) this.#dirty.add(node);
    this.#tellAll();
  }

  nodeGone(node: string, now: number): void {
    this.#wake(now);
    const known = this.#nodes.get(node);
    if (known === undefined) return;
    known.goneAt = now;
    this.#chooseSoon(now + GONE_MS);
  }

  /** What a node says of an order. Of one that it does not have, it is told again what it has. */
  report(node: string, id: string, said: NodePrefetch, now: number): void {
    this.#wake(now);
    const order = this.#orders.get(id);
    const before = order?.end === undefined ? order?.nodes.get(node) : undefined;
    if (order === undefined || before === undefined) {
      this.#dirty.add(node);
      this.#tellAll();
      return;
    }
    order.nodes.set(node, said);
    if (said.state === before.state) return;
    this.#effects.push({ type: 'keep' });
    if (said.state === 'failed') this.#chooseSoon(now + CHOOSE_MS);
  }

  wake(now: number): void {
    this.#wake(now);
    this.#tellAll();
  }

  poll(): PrefetchEffect | undefined {
    return this.#effects.shift();
  }

  /** When to call wake(), or undefined when nothing waits. */
  timeout(): number | undefined {
    let next = this.#chooseAt;
    const sooner = (at: number | undefined): void => {
      if (at !== undefined && (next === undefined || at < next)) next = at;
    };
    for (const { spec, end, isLate } of this.#orders.values()) {
      if (end !== undefined) continue;
      sooner(spec.expiresAtMs);
      if (!isLate) sooner(spec.deadlineAtMs);
    }
    return next;
  }

  get(id: string): PrefetchStats | undefined {
    const order = this.#orders.get(id);
    return order && statsOf(order);
  }

  /** The oldest first. */
  list(): PrefetchStats[] {
    return Array.from(this.#orders.values(), statsOf);
  }

  records(): PrefetchRecord[] {
    return Array.from(this.#orders.values(), ({ spec, end, nodes }) => ({
      spec,
      ...(end !== undefined && { end }),
      nodes: [...nodes],
    }));
  }

  #wake(now: number): void {
    this.#now = now;
    for (const order of this.#orders.values()) {
      const { spec } = order;
      if (order.end !== undefined) continue;
      if (spec.expiresAtMs !== undefined && spec.expiresAtMs <= now) {
        this.#over(order, 'expired');
      } else if (!order.isLate && isLateAt(spec, now)) {
        order.isLate = true;
        if (!statsOf(order).isDone) this.#effects.push({ type: 'late', id: spec.id });
      }
    }
    if (this.#chooseAt === undefined || this.#chooseAt > now) return;
    this.#chooseAt = undefined;
    this.#forgetGone(now);
    for (const order of this.#orders.values()) if (order.end === undefined) this.#choose(order);
  }

  #chooseSoon(at: number): void {
    if (this.#chooseAt === undefined || at < this.#chooseAt) this.#chooseAt = at;
  }

  #forgetGone(now: number): void {
    if (now < this.#restoredUntil) this.#chooseSoon(this.#restoredUntil);
    for (const [name, { goneAt }] of this.#nodes) {
      if (goneAt === undefined) continue;
      if (goneAt + GONE_MS <= now) this.#nodes.delete(name);
      else this.#chooseSoon(goneAt + GONE_MS);
    }
  }

  #choose(order: Order): void {
    const { spec, nodes } = order;
    const isEarly = this.#now < this.#restoredUntil;
    const places = [...this.#nodes.values()];
    const present = new Set([...nodes.keys()].filter((node) => isEarly || this.#nodes.has(node)));
    const failed = new Set(
      [...nodes].filter(([, { state }]) => state === 'failed').map(([node]) => node),
    );
    const working = new Set([...present].filter((node) => !failed.has(node)));
    const chosen = chooseNodes(spec.id, spec, places, working, failed);
    for (const node of chosen) {
      if (nodes.has(node)) continue;
      nodes.set(node, NOT_BEGUN);
      this.#dirty.add(node);
    }
    for (const node of nodes.keys()) {
      // Who failed stays in sight.
      if (chosen.has(node) || present.has(node)) continue;
      nodes.delete(node);
      this.#dirty.add(node);
    }
  }

  #over(order: Order, end: PrefetchEnd): void {
    order.end = end;
    for (const node of order.nodes.keys()) this.#dirty.add(node);
    this.#effects.push({ type: 'keep' });
    const ended = [...this.#orders.values()].filter((each) => each.end !== undefined);
    for (const { spec } of ended.slice(0, Math.max(0, ended.length - PREFETCHES_ENDED_MAX))) {
      this.#orders.delete(spec.id);
    }
  }

  #tellAll(): void {
    for (const node of this.#dirty) {
      const known = this.#nodes.get(node);
      // Told when it connects.
      if (known === undefined || known.goneAt !== undefined) continue;
      this.#effects.push({ type: 'tell', node, tasks: this.#tasksOf(node) });
    }
    this.#dirty.clear();
  }

  #tasksOf(node: string): PrefetchTask[] {
    const tasks: PrefetchTask[] = [];
    for (const { spec, end, nodes } of this.#orders.values()) {
      if (end !== undefined || !nodes.has(node)) continue;
      const { id, image, bootOrderOnly, priority, isPinned, expiresAtMs } = spec;
      const expiresInMs = expiresAtMs === undefined ? 0 : Math.max(1, expiresAtMs - this.#now);
      tasks.push({ id, image, bootOrderOnly, priority, isPinned, expiresInMs });
    }
    return tasks;
  }
}

function isLateAt({ deadlineAtMs }: PrefetchSpec, now: number): boolean {
  return deadlineAtMs !== undefined && deadlineAtMs <= now;
}

function statsOf({ spec, end, isLate, nodes }: Order): PrefetchStats {
  const states = [...nodes.values()];
  const isDone = states.length > 0 && states.every(({ state }) => state === 'done');
  return {
    spec,
    ...(end !== undefined && { end }),
    nodes: [...nodes],
    isLate: isLate && !isDone,
    isDone,
  };
}
