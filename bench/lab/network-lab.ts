/**
 * Hosts on one switch, each a network namespace with one NIC: a veth pair into a bridge, and a token bucket in each direction.
 * Works inside a lab process only (lab-process.ts), whose own network is the switch, and which needs no tearing down.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';

export interface LabHost {
  readonly name: string;
  readonly address: string;
  /** What to put before a program and its arguments to run it on this host. It becomes that program, by the same process id. */
  readonly prefix: readonly string[];
}

/** What a NIC did, both directions together. */
export interface NicCounters {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Packets that found a queue full. */
  readonly drops: number;
}

/** What a token bucket counts of a full frame, and what it takes on an Ethernet: preamble, checksum and gap are 24 bytes. */
const FRAME_COUNTED = 1_514;
const FRAME_ON_WIRE = 1_538;

/**
 * What passes at once after a pause: two full frames. A larger bucket would be a faster network, as a piece of 64 KiB often
 * finds the way idle; a large frame of TCP's that does not fit is cut by the kernel.
 */
const BURST_BYTES = 2 * FRAME_COUNTED;

/** Buffer of a switch port, and of the queue before a NIC. */
const QUEUE_BYTES = 1024 * 1024;

const NETWORK = '10.77';

/** Where `ip netns` keeps names. */
const NETNS_DIRECTORY = '/run/netns';

export class NetworkLab {
  readonly #hosts: LabHost[] = [];

  constructor() {
    mountNames();
    runAll([
      ['ip', 'link', 'set', 'lo', 'up'],
      ['ip', 'link', 'add', 'switch', 'type', 'bridge'],
      ['ip', 'address', 'add', `${NETWORK}.255.254/16`, 'dev', 'switch'],
      ['ip', 'link', 'set', 'switch', 'up'],
    ]);
  }

  /** `mbit`: of its NIC, both ways, as an Ethernet's is given. */
  addHost(name: string, mbit: number): LabHost {
    const number = this.#hosts.length + 1;
    const address = `${NETWORK}.${number >> 8}.${number & 0xff}`;
    const port = `port${number}`;
    const shaped = shapedTo(mbit);
    runAll([
      ['ip', 'netns', 'add', name],
      ['ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name],
      ['ip', '-n', name, 'address', 'add', `${address}/16`, 'dev', 'eth0'],
      ['ip', '-n', name, 'link', 'set', 'lo', 'up'],
      ['tc', '-n', name, 'qdisc', 'add', 'dev', 'eth0', ...shaped],
      ['tc', 'qdisc', 'add', 'dev', port, ...shaped],
      ['ip', '-n', name, 'link', 'set', 'eth0', 'up'],
      ['ip', 'link', 'set', port, 'master', 'switch', 'up'],
    ]);
    const host = { name, address, prefix: ['ip', 'netns', 'exec', name] };
    this.#hosts.push(host);
    return host;
  }

  /** Gives its NIC another speed. */
  reshape({ name }: LabHost, mbit: number): void {
    const shaped = shapedTo(mbit);
    runAll([
      ['tc', '-n', name, 'qdisc', 'replace', 'dev', 'eth0', ...shaped],
      ['tc', 'qdisc', 'replace', 'dev', this.#portOf(name), ...shaped],
    ]);
  }

  counters({ name }: LabHost): NicCounters {
    const port = this.#portOf(name);
    const up = bucketOf(['-n', name], 'eth0');
    const down = bucketOf([], port);
    return { bytesSent: up.bytes, bytesReceived: down.bytes, drops: up.drops + down.drops };
  }

  #portOf(name: string): string {
    return `port${this.#hosts.findIndex((host) => host.name === name) + 1}`;
  }
}

/** Names of our own, over whatever names the machine has; where it has had none, not even the directory is left behind. */
function mountNames(): void {
  const place = existsSync(NETNS_DIRECTORY) ? NETNS_DIRECTORY : '/run';
  runOne(['mount', '-t', 'tmpfs', 'bootswarm-lab', place]);
  mkdirSync(NETNS_DIRECTORY, { recursive: true });
}

/** A root token bucket, as tc takes it. */
function shapedTo(mbit: number): string[] {
  const kbit = Math.round((mbit * 1_000 * FRAME_COUNTED) / FRAME_ON_WIRE);
  const bucket = ['tbf', 'rate', `${kbit}kbit`, 'burst', `${burstOf(kbit)}`];
  return ['root', ...bucket, 'limit', `${QUEUE_BYTES}`];
}

/** 50 µs of the rate where that is more, so that a fast NIC is not held up by the kernel's timers. */
function burstOf(kbit: number): number {
  return Math.max(BURST_BYTES, Math.round((kbit / 8) * 0.05));
}

function bucketOf(where: readonly string[], device: string): { bytes: number; drops: number } {
  const text = runOne(['tc', '-s', '-j', ...where, 'qdisc', 'show', 'dev', device]);
  const [bucket] = JSON.parse(text) as [{ bytes: number; drops: number }];
  return bucket;
}

function runAll(commands: readonly (readonly string[])[]): void {
  for (const command of commands) runOne(command);
}

function runOne(command: readonly string[]): string {
  const [program, ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${command.join(' ')}: ${error?.message ?? stderr.trim()}`);
}
