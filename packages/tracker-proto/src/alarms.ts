/**
 * What an operator is to be told, why, and when it is over: every rule is here, as a function of facts and time. Who measures the
 * facts, and who logs and shows the alarms, is elsewhere.
 */

export const ALARM_CODES = [
  'read-waiting',
  'origin-fallback',
  'image-not-spreading',
  'disk-nearly-full',
] as const;
export type AlarmCode = (typeof ALARM_CODES)[number];

export interface Alarm {
  readonly code: AlarmCode;
  /** Where it is: a node, or `tracker`. */
  readonly node: string;
  /** What it is about: the name of an image, or a directory. */
  readonly subject: string;
  /** What is the matter, with figures. */
  readonly reason: string;
  /** What to do. */
  readonly hint: string;
  /** RFC 3339. */
  readonly since: string;
}

/** What is the matter at this moment. */
export type Condition = Pick<Alarm, 'code' | 'subject' | 'reason' | 'hint'>;

export interface AlarmChange {
  readonly type: 'raised' | 'cleared';
  readonly alarm: Alarm;
}

/** A condition must be gone for so long: one that comes and goes is one alarm. */
const CLEAR_MS = 10_000;
/** More would not be read. */
const RAISED_MAX = 16;

/** Keeps what is raised: at once when its condition is there, until it has been away for 10 s. */
export class AlarmBoard {
  readonly #node: string;
  readonly #timeText: (ms: number) => string;
  readonly #raised = new Map<string, { alarm: Alarm; seenAtMs: number }>();
  readonly #counts = new Map<AlarmCode, number>(ALARM_CODES.map((code) => [code, 0]));

  /** `timeText`: a time in milliseconds since 1970 as RFC 3339 has it. */
  constructor(node: string, timeText: (ms: number) => string) {
    this.#node = node;
    this.#timeText = timeText;
  }

  /** All conditions of now, in milliseconds since 1970; answers what has changed. */
  update(conditions: readonly Condition[], nowMs: number): AlarmChange[] {
    const changes: AlarmChange[] = [];
    for (const { code, subject, reason, hint } of conditions) {
      const key = `${code} ${subject}`;
      const known = this.#raised.get(key);
      if (known === undefined && this.#raised.size >= RAISED_MAX) continue;
      const since = known?.alarm.since ?? this.#timeText(nowMs);
      const alarm = { code, node: this.#node, subject, reason, hint, since };
      this.#raised.set(key, { alarm, seenAtMs: nowMs });
      if (known !== undefined) continue;
      this.#counts.set(code, this.count(code) + 1);
      changes.push({ type: 'raised', alarm });
    }
    for (const [key, { alarm, seenAtMs }] of this.#raised) {
      if (nowMs - seenAtMs < CLEAR_MS) continue;
      this.#raised.delete(key);
      changes.push({ type: 'cleared', alarm });
    }
    return changes;
  }

  /** The oldest first. */
  get alarms(): Alarm[] {
    return Array.from(this.#raised.values(), ({ alarm }) => alarm);
  }

  isRaised(code: AlarmCode, subject: string): boolean {
    return this.#raised.has(`${code} ${subject}`);
  }

  /** How often it was raised. */
  count(code: AlarmCode): number {
    return this.#counts.get(code) ?? 0;
  }
}

export interface WaitingReads {
  readonly imageName: string;
  readonly readsWaiting: number;
  readonly oldestWaitMs: number;
  readonly peers: number;
  readonly isTrackerConnected: boolean;
}

/** Longer than a piece takes on the worst of networks that work, and the source was asked twice by then. */
const WAIT_MS_MAX = 5_000;

export function readWaiting(facts: WaitingReads): Condition | undefined {
  const { imageName, readsWaiting, oldestWaitMs, peers, isTrackerConnected } = facts;
  if (readsWaiting === 0 || oldestWaitMs <= WAIT_MS_MAX) return undefined;
  const tracker = isTrackerConnected ? 'connected' : 'not connected';
  const who = peers === 0 ? 'no peer is connected' : `${peers} peers are connected`;
  return {
    code: 'read-waiting',
    subject: imageName,
    reason: `${readsWaiting} reads wait, the oldest for ${Math.round(oldestWaitMs / 1_000)} s: ${who}, the tracker is ${tracker}`,
    hint:
      peers === 0
        ? 'See that the tracker and its origin run and that this node reaches them and other nodes.'
        : 'See in bootswarm status whether bytes come in at all; look at the network of this node.',
  };
}

/** Totals of one image on one node, since any moment in the past. */
export interface SourceTotals {
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
  /** Pieces asked of the origin because those who should have given them did not. */
  readonly piecesFallenBack: number;
}

/** Of OriginReason in swarm-proto, those that say that the swarm did not give what it should. */
export const FALLBACK_REASONS: readonly string[] = [
  'sources-unreachable',
  'lease-failed',
  'holder-late',
  'piece-refused',
];

const FALLBACK_WINDOW_MS = 30_000;
/** 1 MiB of the smallest pieces: a few of them are a node that was restarted. */
const FALLBACK_PIECES_MIN = 16;
const FALLBACK_SHARE_MIN = 0.5;

/** Notices that an image comes from the origin although others have it. One per image. */
export class FallbackRule {
  readonly #window = new Window<SourceTotals>(FALLBACK_WINDOW_MS);

  at(imageName: string, totals: SourceTotals, nowMs: number): Condition | undefined {
    const then = this.#window.push(totals, nowMs);
    const pieces = totals.piecesFallenBack - then.piecesFallenBack;
    const fromOrigin = totals.bytesFromOrigin - then.bytesFromOrigin;
    const share = shareOf(fromOrigin, totals.bytesFromPeers - then.bytesFromPeers);
    if (pieces < FALLBACK_PIECES_MIN || share < FALLBACK_SHARE_MIN) return undefined;
    const seconds = FALLBACK_WINDOW_MS / 1_000;
    return {
      code: 'origin-fallback',
      subject: imageName,
      reason:
        `in the last ${seconds} s ${percent(share)} came from the origin, and ${pieces} pieces only ` +
        'because nodes that have them did not give them',
      hint: 'See that other nodes accept connections from this one: firewall, --listen, --advertise.',
    };
  }
}

/** Totals of one image over all nodes. */
export interface SpreadTotals {
  readonly bytesFromPeers: number;
  readonly bytesFromOrigin: number;
}

const SPREAD_WINDOW_MS = 60_000;
const SPREAD_NODES_MIN = 3;
/** A boot reads some 50 MB: less is nothing to judge by. */
const SPREAD_BYTES_MIN = 64 * 1024 * 1024;
/** Of three nodes that share, the origin gives a third. */
const SPREAD_SHARE_MIN = 0.6;

/** Notices that nodes take an image from the origin and not from each other. One per image. */
export class SpreadRule {
  readonly #window = new Window<SpreadTotals>(SPREAD_WINDOW_MS);

  /** `receivers`: nodes that received any of it in the last minute. */
  at(
    imageName: string,
    totals: SpreadTotals,
    receivers: number,
    nowMs: number,
  ): Condition | undefined {
    const then = this.#window.push(totals, nowMs);
    const fromOrigin = totals.bytesFromOrigin - then.bytesFromOrigin;
    const fromPeers = totals.bytesFromPeers - then.bytesFromPeers;
    const share = shareOf(fromOrigin, fromPeers);
    if (receivers < SPREAD_NODES_MIN || fromOrigin + fromPeers < SPREAD_BYTES_MIN) return undefined;
    if (share < SPREAD_SHARE_MIN) return undefined;
    const mib = Math.round((fromOrigin + fromPeers) / 2 ** 20);
    return {
      code: 'image-not-spreading',
      subject: imageName,
      reason:
        `${receivers} nodes received ${mib} MiB in the last minute, ${percent(share)} of it from ` +
        'the origin and not from each other',
      hint: 'See that nodes reach each other on their peer ports (bootswarm nodes): firewall, --listen, --advertise.',
    };
  }
}

export interface DiskFacts {
  readonly directory: string;
  readonly bytesFree: number;
  readonly bytesTotal: number;
  /** The limit of the cache is reached and nothing may be evicted. */
  readonly isCacheFull: boolean;
}

const FREE_SHARE_MIN = 0.05;
/** Above this it is over: a disk on the edge is one alarm. */
const FREE_SHARE_OVER = 0.07;

export function diskNearlyFull(facts: DiskFacts, isRaised: boolean): Condition | undefined {
  const { directory, bytesFree, bytesTotal, isCacheFull } = facts;
  const share = bytesTotal === 0 ? 1 : bytesFree / bytesTotal;
  const isLow = share < (isRaised ? FREE_SHARE_OVER : FREE_SHARE_MIN);
  if (!isLow && !isCacheFull) return undefined;
  const free = `${(bytesFree / 2 ** 30).toFixed(1)} GiB (${percent(share)}) of the disk are free`;
  return {
    code: 'disk-nearly-full',
    subject: directory,
    reason: isLow ? free : 'the cache has reached its limit and every image in it is in use',
    hint: isLow
      ? 'Free space on it, or limit the cache with --cache-max; guests go on, from memory and the swarm.'
      : 'Raise --cache-max, or remove VMs and detach images; guests go on, from memory and the swarm.',
  };
}

/** Values of the last while; what the oldest of them was. */
class Window<Value> {
  readonly #lengthMs: number;
  readonly #values: { readonly atMs: number; readonly value: Value }[] = [];

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  /** Answers the value of `lengthMs` ago, or the oldest there is. */
  push(value: Value, nowMs: number): Value {
    this.#values.push({ atMs: nowMs, value });
    while (this.#values.length > 1 && this.#values[1].atMs <= nowMs - this.#lengthMs) {
      this.#values.shift();
    }
    return this.#values[0].value;
  }
}

function shareOf(part: number, other: number): number {
  return part + other <= 0 ? 0 : part / (part + other);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
