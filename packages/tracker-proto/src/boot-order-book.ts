/**
 * The boot orders of one image: takes the first touches of VMs while they boot, decides of which kind each boot is, extends the
 * kind's order at once and merges the boot when it is over. What is told to whom, and when, is SwarmRegistry's decision.
 */
import { FOLLOWS_MIN, ORDER_WINDOW, PieceSequence, TOUCHES_MIN } from '@bootswarm/stdx';
import { BOOT_PIECES_MAX, BootKind, type PieceRecord } from './boot-kind.ts';
import type { KindOrder } from './messages.ts';

/** Kinds that nodes are told of. */
export const KINDS_MAX = 4;
/** Two more are remembered, so that a fifth kind, or somebody's nonsense, need not displace one to show what it is worth. */
const KINDS_REMEMBERED_MAX = KINDS_MAX + 2;
/** Boots followed at a time, of one node and of all: what is beyond teaches nothing that the others do not. */
const BOOTS_PER_NODE_MAX = 64;
const BOOTS_MAX = 1_024;
/** Their touches: 4 MiB. */
const TOUCHES_MAX = 2 ** 20;
/** An agent says something of a boot at least every 5 s until it is over. */
const BOOT_SILENT_MS = 30_000;
/** A touch of a boot that is not the first of its kind counts when so many later ones show that it is still of that kind. */
const CONFIRMED_AFTER = ORDER_WINDOW / 2;
/** While boots of a kind still run its order is sorted anew after so many merges, otherwise after each. */
const MERGES_PER_SORT = 32;
/** Pieces that one node alone has touched, per kind that was learned already. */
const UNCONFIRMED_MAX = 4_096;

/** What is kept of a kind between two trackers. */
export interface KindRecord {
  readonly isShared: boolean;
  readonly weight: number;
  readonly bootsMerged: number;
  /** Touches of each of the last boots; the newest last. */
  readonly lengths: readonly number[];
  readonly learnedAtMs: number;
  readonly pieces: readonly (readonly [pieceIndex: number, record: PieceRecord])[];
}

interface RunningBoot {
  readonly node: string;
  readonly touches: PieceSequence;
  kind: KindState | undefined;
  /** Touches that are in the kind's order, or were found not to belong there. */
  taken: number;
  heardAt: number;
}

interface KindState {
  readonly kind: BootKind;
  /** The boot whose touches extend the order at once: the first of a kind that nothing was learned of. */
  leader: RunningBoot | undefined;
  /** Of a kind that was learned: pieces that are new to it, and the node that touched them. */
  readonly unconfirmed: Map<number, string>;
}

export class BootOrderBook {
  readonly #pieceCount: number;
  readonly #boots = new Map<string, RunningBoot>();
  readonly #bootsOf = new Map<string, number>();
  #kinds: KindState[] = [];
  readonly #gone = new Set<number>();
  #touches = 0;
  #nextKind = 1;
  #revision = 0;
  #isDirty = false;

  /** `kinds`: what was learned before. */
  constructor(pieceCount: number, kinds: readonly KindRecord[] = []) {
    this.#pieceCount = pieceCount;
    for (const record of kinds.slice(0, KINDS_REMEMBERED_MAX)) {
      const { kind } = this.#addKind();
      kind.weight = record.weight;
      kind.bootsMerged = record.bootsMerged;
      kind.isShared = record.isShared;
      kind.lengths = [...record.lengths];
      kind.learnedAtMs = record.learnedAtMs;
      for (const [pieceIndex, piece] of record.pieces) kind.pieces.set(pieceIndex, { ...piece });
      kind.settle(0);
    }
    this.flush();
  }

  get revision(): number {
    return this.#revision;
  }

  /** Whether flush() may have something to say. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  get bootsRunning(): number {
    return this.#boots.size;
  }

  /** Of each kind that something was learned of; the most used first. */
  records(): (KindRecord & { readonly keptPieces: Uint32Array })[] {
    const learned = this.#kinds.filter(({ kind }) => kind.isLearned);
    return learned
      .sort((a, b) => b.kind.weight - a.kind.weight)
      .map(({ kind }) => ({
        isShared: kind.isShared,
        weight: kind.weight,
        bootsMerged: kind.bootsMerged,
        lengths: kind.lengths,
        learnedAtMs: kind.learnedAtMs,
        pieces: [...kind.pieces],
        keptPieces: kind.order.slice(),
      }));
  }

  /**
   * What a boot of a node touched since the last call, in order; `nowMs` is the wall clock. Returns whether something was learned
   * that is worth keeping.
   */
  touched(
    node: string,
    boot: number,
    pieceIndexes: Iterable<number>,
    isOver: boolean,
    now: number,
    nowMs: number,
  ): boolean {
    const key = `${boot} ${node}`;
    const running = this.#boots.get(key) ?? this.#begin(key, node, now);
    if (running === undefined) return false;
    running.heardAt = now;
    for (const pieceIndex of pieceIndexes) {
      if (pieceIndex >= this.#pieceCount || running.touches.length >= BOOT_PIECES_MAX) continue;
      running.touches.push(pieceIndex);
      this.#touches += 1;
    }
    this.#judge(running, isOver);
    this.#teach(running);
    if (!isOver) return false;
    this.#end(key, running);
    return this.#merge(running, nowMs);
  }

  /** Its boots will not be continued; what they taught so far stays until the next merge. */
  forget(node: string): void {
    if (!this.#bootsOf.has(node)) return;
    for (const [key, boot] of this.#boots) if (boot.node === node) this.#end(key, boot);
  }

  /** The change since the last flush, or undefined when there is none. */
  flush(): readonly KindOrder[] | undefined {
    this.#isDirty = false;
    const changes: KindOrder[] = [];
    const told = this.#mostUsed();
    for (const { kind } of this.#kinds) {
      if (kind.isTold && !told.some((each) => each.kind === kind)) {
        kind.isTold = false;
        this.#gone.add(kind.id);
      }
    }
    for (const id of this.#gone) changes.push(goneKind(id));
    this.#gone.clear();
    for (const { kind } of told) {
      if (!kind.isTold) kind.toldLength = kind.heldLength = 0;
      const { length } = kind.order;
      const from = kind.heldLength;
      if (from === kind.toldLength && from === length) continue;
      kind.isTold = true;
      kind.toldLength = kind.heldLength = length;
      changes.push({ kind: kind.id, from, pieceIndexes: kind.order.slice(from) });
    }
    if (changes.length === 0) return undefined;
    this.#revision += 1;
    return changes;
  }

  /** All orders as of the last flush. */
  whole(): readonly KindOrder[] {
    return this.#kinds
      .filter(({ kind }) => kind.isTold && kind.toldLength > 0)
      .map(({ kind }) => ({
        kind: kind.id,
        from: 0,
        pieceIndexes: kind.order.slice().subarray(0, kind.toldLength),
      }));
  }

  #begin(key: string, node: string, now: number): RunningBoot | undefined {
    if (this.#boots.size >= BOOTS_MAX || this.#touches >= TOUCHES_MAX) this.#endSilent(now);
    const ofNode = this.#bootsOf.get(node) ?? 0;
    if (this.#boots.size >= BOOTS_MAX || this.#touches >= TOUCHES_MAX) return undefined;
    if (ofNode >= BOOTS_PER_NODE_MAX) return undefined;
    const boot = { node, touches: new PieceSequence(), kind: undefined, taken: 0, heardAt: now };
    this.#boots.set(key, boot);
    this.#bootsOf.set(node, ofNode + 1);
    return boot;
  }

  #endSilent(now: number): void {
    for (const [key, boot] of this.#boots) {
      if (now - boot.heardAt > BOOT_SILENT_MS) this.#end(key, boot);
    }
  }

  #end(key: string, boot: RunningBoot): void {
    this.#boots.delete(key);
    this.#touches -= boot.touches.length;
    const left = this.#bootsOf.get(boot.node)! - 1;
    if (left === 0) this.#bootsOf.delete(boot.node);
    else this.#bootsOf.set(boot.node, left);
    if (boot.kind?.leader === boot) boot.kind.leader = undefined;
  }

  /** Finds the boot's kind, and notices when it goes another way than the kind it was taken for. */
  #judge(boot: RunningBoot, isOver: boolean): void {
    if (boot.kind !== undefined) {
      if (this.#isKnown(boot.kind) && this.#fit(boot.kind, boot) >= FOLLOWS_MIN) return;
      if (boot.kind.leader === boot) boot.kind.leader = undefined;
      boot.kind = undefined;
    }
    let best: KindState | undefined;
    let bestFit = 0;
    let isUndecided = false;
    for (const each of this.#kinds) {
      const fit = each.kind.order.followedBy(boot.touches);
      if (fit === undefined) isUndecided ||= !isOver && !this.#isAhead(boot, each);
      if (fit === undefined && this.#isAhead(boot, each)) best ??= each;
      if (fit !== undefined && fit >= FOLLOWS_MIN && fit > bestFit) {
        best = each;
        bestFit = fit;
      }
    }
    if (best === undefined && isUndecided) return;
    boot.kind = best ?? this.#newKind(boot);
    boot.taken = 0;
  }

  /** Of too little to judge it by, a boot that is well past it is taken to be its continuation. */
  #isAhead(boot: RunningBoot, { kind }: KindState): boolean {
    const lead = kind.order.length < TOUCHES_MIN ? TOUCHES_MIN : ORDER_WINDOW;
    return boot.touches.length >= kind.order.length + lead;
  }

  #fit({ kind }: KindState, boot: RunningBoot): number {
    return kind.order.followedBy(boot.touches) ?? 1;
  }

  #isKnown(state: KindState): boolean {
    return this.#kinds.includes(state);
  }

  #newKind(boot: RunningBoot): KindState | undefined {
    if (boot.touches.length === 0) return undefined;
    if (this.#kinds.length >= KINDS_REMEMBERED_MAX && !this.#dropLeast()) return undefined;
    const state = this.#addKind();
    state.leader = boot;
    return state;
  }

  #addKind(): KindState {
    const kind = new BootKind(this.#nextKind);
    this.#nextKind += 1;
    const state: KindState = { kind, leader: undefined, unconfirmed: new Map() };
    this.#kinds.push(state);
    return state;
  }

  /** Makes room for one more kind, which so far has one boot to its name; false when all have more. */
  #dropLeast(): boolean {
    const ranked = this.#ranked();
    const { state, isShared, support } = ranked[ranked.length - 1];
    if (isShared && support > 1) return false;
    this.#drop(state);
    return true;
  }

  /** A kind that only a look at the disk had made. */
  #dropIfEmpty(state: KindState): void {
    if (state.kind.isLearned || state.kind.order.length >= TOUCHES_MIN) return;
    for (const { kind } of this.#boots.values()) if (kind === state) return;
    this.#drop(state);
  }

  #drop(state: KindState): void {
    this.#kinds = this.#kinds.filter((each) => each !== state);
    if (!state.kind.isTold) return;
    this.#gone.add(state.kind.id);
    this.#isDirty = true;
  }

  #mostUsed(): KindState[] {
    const most = this.#ranked().slice(0, KINDS_MAX);
    return most.map(({ state }) => state);
  }

  /**
   * Kinds that several nodes boot before those that one node tells of; then by boots merged and nodes that boot it now: a node
   * counts once, however many boots it tells of. Of the same support the newer comes first.
   */
  #ranked(): { state: KindState; isShared: boolean; support: number }[] {
    const nodes = new Map<KindState, Set<string>>(this.#kinds.map((each) => [each, new Set()]));
    for (const { kind, node } of this.#boots.values()) {
      if (kind !== undefined) nodes.get(kind)?.add(node);
    }
    const ranked = this.#kinds.map((state) => {
      const { size } = nodes.get(state)!;
      const isShared = state.kind.isShared || size > 1;
      const support = state.kind.weight + size;
      return { state, isShared, support: isShared ? support : Math.min(1, support) };
    });
    return ranked.sort(
      (a, b) =>
        Number(b.isShared) - Number(a.isShared) ||
        b.support - a.support ||
        b.state.kind.id - a.state.kind.id,
    );
  }

  /** Extends the kind's order by what the boot shows of it. */
  #teach(boot: RunningBoot): void {
    const { kind: state, touches } = boot;
    if (state === undefined) return;
    if (state.kind.isLearned) {
      for (; boot.taken < touches.length; boot.taken += 1) {
        this.#confirm(state, boot.node, touches.at(boot.taken));
      }
      return;
    }
    const { leader } = state;
    if (leader === undefined || touches.length >= leader.touches.length + ORDER_WINDOW) {
      state.leader = boot;
    }
    const end = state.leader === boot ? touches.length : touches.length - CONFIRMED_AFTER;
    for (; boot.taken < end; boot.taken += 1) this.#extend(state, touches.at(boot.taken));
  }

  /** What is new to a kind that was learned counts once a second node has touched it. */
  #confirm(state: KindState, node: string, pieceIndex: number): void {
    if (state.kind.order.has(pieceIndex)) return;
    const first = state.unconfirmed.get(pieceIndex);
    if (first === undefined) {
      if (state.unconfirmed.size < UNCONFIRMED_MAX) state.unconfirmed.set(pieceIndex, node);
    } else if (first !== node) {
      state.unconfirmed.delete(pieceIndex);
      this.#extend(state, pieceIndex);
    }
  }

  #extend({ kind }: KindState, pieceIndex: number): void {
    if (kind.order.length >= BOOT_PIECES_MAX) return;
    if (kind.order.append(pieceIndex)) this.#isDirty = true;
  }

  #merge(boot: RunningBoot, nowMs: number): boolean {
    const { kind: state } = boot;
    if (state === undefined) return false;
    if (boot.touches.length < TOUCHES_MIN) {
      this.#dropIfEmpty(state);
      return false;
    }
    state.kind.merge(boot.touches, boot.node, nowMs);
    for (const each of this.#kinds) if (each !== state && state.kind.isShared) each.kind.fade();
    let isRunning = false;
    for (const { kind } of this.#boots.values()) isRunning ||= kind === state;
    if (!isRunning) state.unconfirmed.clear();
    state.kind.settle(isRunning ? MERGES_PER_SORT : 1);
    this.#isDirty = true;
    return true;
  }
}

function goneKind(kind: number): KindOrder {
  return { kind, from: 0, pieceIndexes: new Uint32Array() };
}
