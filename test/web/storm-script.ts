/**
 * A made-up boot storm in the tracker's own types: what its overview would say, second by second, of hundreds of nodes that boot
 * one image. Figures add up as the tracker's do; the same seed gives the same storm.
 */
import { Random } from '@bootswarm/stdx';
import type {
  BytesBySource,
  ImageOverview,
  NodeOverview,
  OriginRead,
  Overview,
  StormSample,
  ZoneOverview,
} from '@bootswarm/tracker';

export interface StormScriptOptions {
  readonly nodes: number;
  readonly zones: number;
  readonly seed: number;
  /** Milliseconds since 1970 of its first second. */
  readonly startMs: number;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type Bytes = Mutable<BytesBySource>;

interface ScriptNode {
  readonly index: number;
  readonly name: string;
  readonly zone: string;
  readonly rack: string;
  /** Second in which its VMs begin to boot, and how long they take. */
  readonly startsAt: number;
  readonly takes: number;
  readonly vms: number;
  readonly read: Bytes;
  readonly received: Bytes;
  rate: number;
}

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const PIECE = 65_536;
const HISTORY = 300;
const STREAM_SAMPLES = 10;
/** What a boot reads. */
const BOOT_BYTES = 49 * MIB;
/** Second in which the first VM boots. */
const BEGIN = 20;
/** Of the tracker when it begins. */
const UPTIME_SECONDS = 1_500;
const REASONS = ['tree-root', 'first-touch', 'holder-late', 'no-holder', 'sources-unreachable'];
const IMAGE = {
  id: '7f3a9c21d4e8b6050f1e2d3c4b5a69788796a5b4',
  name: 'debian-12',
  title: 'debian-12',
};
/** Of Glance. */
const OTHER = {
  id: '1c5e8d7b3a9f20416b7c8d9eaf0b1c2d3e4f5a6b',
  ...{ name: '5f6a2c1e-0b7d-4c3a-9e8f-1a2b3c4d5e6f', title: 'worker-2026-03 (5f6a2c1e)' },
};

export class StormScript {
  readonly #options: StormScriptOptions;
  readonly #random: Random;
  readonly #nodes: readonly ScriptNode[];
  readonly #samples: StormSample[] = [];
  readonly #storm = { read: none(), received: none(), vmsBootingMax: 0, endedAt: -1 };
  readonly #reads: OriginRead[] = [];
  readonly #reasons: Record<string, number> = {};
  #second = -1;

  constructor(options: StormScriptOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#nodes = Array.from({ length: options.nodes }, (_, index) => this.#node(index));
    const first = Math.floor(options.startMs / 1_000) - HISTORY;
    for (let second = 0; second < HISTORY; second += 1) {
      this.#samples.push({ at: first + second, vmsBooting: 0, read: none(), received: none() });
    }
  }

  /** Lets one second go by. */
  advance(): void {
    this.#second += 1;
    const sample = { at: this.#at(), vmsBooting: 0, read: none(), received: none() };
    for (const node of this.#nodes) this.#play(node, sample);
    this.#samples.push(sample);
    if (this.#samples.length > HISTORY) this.#samples.shift();
    const storm = this.#storm;
    storm.vmsBootingMax = Math.max(storm.vmsBootingMax, sample.vmsBooting);
    if (storm.vmsBootingMax > 0 && sample.vmsBooting === 0 && storm.endedAt < 0) {
      storm.endedAt = this.#second;
    }
    addTo(storm.read, sample.read);
    addTo(storm.received, sample.received);
    this.#noteOriginReads(sample.received.origin);
  }

  overview(seconds = HISTORY): Overview {
    const nodes = this.#nodes.map((node) => this.#nodeOverview(node));
    return {
      at: this.#time(this.#second),
      tracker: {
        ...{ version: '0.1.0', uptimeSeconds: UPTIME_SECONDS + this.#second },
        ...{ agents: nodes.length, hasOrigin: true },
      },
      now: this.#samples.at(-1)!,
      samples: this.#samples.slice(-seconds),
      storm: this.#stormOverview(),
      images: [this.#image(), otherImage(this.#options.nodes)],
      zones: zonesOf(nodes),
      nodes,
      nodesLeftOut: 0,
      originReads: this.#reads.slice(0, 100),
      originReasons: { ...this.#reasons },
      alarms: this.#alarms(),
    };
  }

  /** As an event of the stream has it. */
  event(): Overview {
    return this.overview(STREAM_SAMPLES);
  }

  #node(index: number): ScriptNode {
    const { zones } = this.#options;
    const zone = index % zones;
    return {
      index,
      name: `cmp-${index + 1}`,
      zone: `az${zone + 1}`,
      rack: `r${1 + (Math.floor(index / zones) % 6)}`,
      startsAt: BEGIN + Math.floor(this.#random.float() * 70),
      takes: 40 + Math.floor(this.#random.float() * 30),
      vms: 1 + (index % 4),
      ...{ read: none(), received: none(), rate: 0 },
    };
  }

  #play(node: ScriptNode, sample: StormSample): void {
    const age = this.#second - node.startsAt;
    node.rate = 0;
    if (age < 0 || age >= node.takes) return;
    (sample as Mutable<StormSample>).vmsBooting += node.vms;
    // A boot reads most in its first third.
    const weight = (2 * (node.takes - age)) / (node.takes * (node.takes + 1));
    const bytes = Math.round(BOOT_BYTES * weight * (0.8 + 0.4 * this.#random.float()));
    const part = (share: number) => Math.floor(bytes * share);
    // The first nodes fetch for all others.
    const share = node.startsAt < BEGIN + 3 ? 0.35 : 0.0008;
    const received = { cache: 0, peers: part(1 - share), origin: part(share) };
    const rest = (node.vms - 1) * bytes;
    const read = { cache: rest + part(0.82), peers: part(0.17), origin: part(share / 4) };
    node.rate = received.peers + received.origin;
    for (const [into, from] of [
      [node.read, read],
      [node.received, received],
      [sample.read, read],
      [sample.received, received],
    ]) {
      addTo(into as Bytes, from);
    }
  }

  #noteOriginReads(bytes: number): void {
    let pieces = Math.floor(bytes / PIECE);
    for (let at = 0; pieces > 0 && at < 3; at += 1) {
      const isUsual = this.#random.float() < 0.94;
      const reason = REASONS[Math.floor(this.#random.float() * (isUsual ? 2 : REASONS.length))];
      const taken = at === 2 ? pieces : Math.ceil(pieces * 0.6);
      pieces -= taken;
      this.#reasons[reason] = (this.#reasons[reason] ?? 0) + taken;
      const { name } = this.#nodes[Math.floor(this.#random.float() * this.#nodes.length)];
      const { id: image, name: imageName } = IMAGE;
      const read = { node: name, image, imageName, reason, pieces: taken };
      this.#reads.unshift({ at: this.#time(this.#second), ...read });
    }
  }

  #stormOverview(): Overview['storm'] {
    const { read, received, vmsBootingMax, endedAt } = this.#storm;
    if (vmsBootingMax === 0) return null;
    const all = received.peers + received.origin;
    return {
      startedAt: this.#time(BEGIN),
      endedAt: endedAt < 0 ? null : this.#time(endedAt),
      ...{ vmsBootingMax, read: { ...read }, received: { ...received } },
      originShare: all === 0 ? 0 : received.origin / all,
    };
  }

  #nodeOverview(node: ScriptNode): NodeOverview {
    const { index, name, zone, rack, startsAt, takes, vms, read, received, rate } = node;
    const age = this.#second - startsAt;
    const isBooting = age >= 0 && age < takes;
    const hasAlarm = this.#alarms().some((alarm) => alarm.node === name);
    return {
      ...{ node: name, zone, rack, address: `10.${index % 8}.${index >> 8}.${index & 255}:7422` },
      state: hasAlarm ? 'alarm' : isBooting ? 'booting' : rate > 0 ? 'fetching' : 'idle',
      images: 1 + (index % 2),
      vmsBooting: isBooting ? vms : 0,
      vmsConnected: age >= 0 ? vms : 0,
      ...{ read: { ...read }, received: { ...received }, bytesPerSecond: rate },
      cacheBytes: received.peers + received.origin + (index % 2) * 2 * GIB,
      cacheBytesMax: 64 * GIB,
    };
  }

  #image(): ImageOverview {
    const spread: number[] = new Array(11).fill(0);
    const dataBytes = 412 * MIB;
    let [receivedFromPeers, receivedFromOrigin] = [0, 0];
    for (const { received, index } of this.#nodes) {
      receivedFromPeers += received.peers;
      receivedFromOrigin += received.origin;
      // Some fill: they fetch more than a boot reads.
      const filled = ((received.peers + received.origin) * (1 + 2 * (index % 5))) / dataBytes;
      spread[Math.min(10, Math.floor(filled * 10))] += 1;
    }
    return {
      ...{ ...IMAGE, length: 3 * GIB, pieceCount: (3 * GIB) / PIECE, dataBytes, state: 'ready' },
      ...{ members: this.#nodes.length, complete: spread[10], spread },
      bootOrder: [
        { boots: 1_304, pieces: 741, bytes: 741 * PIECE, lastLearnedAt: this.#time(24) },
        { boots: 61, pieces: 1_184, bytes: 1_184 * PIECE, lastLearnedAt: this.#time(-90_000) },
      ],
      ...{ receivedFromPeers, receivedFromOrigin, originCopies: receivedFromOrigin / dataBytes },
    };
  }

  #alarms(): Overview['alarms'] {
    if (this.#second < BEGIN + 20) return [];
    return [
      {
        ...{ code: 'read-waiting', node: 'cmp-14', subject: IMAGE.name },
        reason: '3 reads wait, the oldest for 11 s: no peer is connected, the tracker is connected',
        hint: 'See that the tracker and its origin run and that this node reaches them and other nodes.',
        since: this.#time(BEGIN + 20),
      },
      {
        ...{ code: 'disk-nearly-full', node: 'cmp-3', subject: '/var/lib/bootswarm/cache' },
        reason: '2.1 GiB (4 %) of the disk are free',
        hint: 'Free space on it, or limit the cache with --cache-max; guests go on, from memory and the swarm.',
        since: this.#time(-5_400),
      },
      {
        ...{ code: 'origin-fallback', node: 'cmp-77', subject: IMAGE.name },
        reason:
          'in the last 30 s 62 % came from the origin, and 118 pieces only because nodes that have them did not give them',
        hint: 'See that other nodes accept connections from this one: firewall, --listen, --advertise.',
        since: this.#time(BEGIN + 12),
      },
    ];
  }

  #at(): number {
    return Math.floor(this.#options.startMs / 1_000) + this.#second;
  }

  #time(second: number): string {
    return new Date(this.#options.startMs + second * 1_000).toISOString();
  }
}

/** Published, known to few, and never booted. */
function otherImage(nodes: number): ImageOverview {
  const members = Math.min(12, nodes);
  const spread: number[] = new Array(11).fill(0);
  spread[0] = members;
  return {
    ...{ ...OTHER, length: 20 * GIB, pieceCount: (20 * GIB) / PIECE, dataBytes: 1_900 * MIB },
    ...{ state: 'ready', members, complete: 0, spread, bootOrder: [] },
    ...{ receivedFromPeers: 0, receivedFromOrigin: 0, originCopies: 0 },
  };
}

function zonesOf(nodes: readonly NodeOverview[]): ZoneOverview[] {
  const zones = new Map<string, Mutable<ZoneOverview> & { received: Bytes }>();
  for (const { zone, vmsBooting, received } of nodes) {
    const sum = zones.get(zone) ?? { zone, nodes: 0, vmsBooting: 0, received: none() };
    zones.set(zone, sum);
    sum.nodes += 1;
    sum.vmsBooting += vmsBooting;
    addTo(sum.received, received);
  }
  return [...zones.values()].sort((a, b) => (a.zone < b.zone ? -1 : 1));
}

function none(): Bytes {
  return { cache: 0, peers: 0, origin: 0 };
}

function addTo(into: Bytes, from: BytesBySource): void {
  into.cache += from.cache;
  into.peers += from.peers;
  into.origin += from.origin;
}
