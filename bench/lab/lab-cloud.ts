/**
 * A cloud in a lab: the tracker with its origin on one host, an agent on each other host, an image published, and guests' exports
 * made, all by the commands and the control API that an operator has.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentStatus, ImageStatus, VmInfo } from '@bootswarm/agent';
import type { ImageSummary, SwarmSummary } from '@bootswarm/tracker';
import { askJson, BOOTSWARM, run, until } from '../../test/cluster.ts';
import { LabDaemon } from './lab-daemon.ts';
import { type LabHost, NetworkLab } from './network-lab.ts';

export interface LabCloudOptions {
  readonly directory: string;
  readonly nodes: number;
  readonly mbit: number;
  readonly originMbit: number;
  /** What the agent of a node is started with besides. */
  readonly argsOf?: (node: number) => readonly string[];
}

const TRACKER_PORT = 7420;
const ORIGIN_PORT = 7421;
/** Metainfo for every node comes through one NIC, which may be slow. */
const JOIN_MS_MAX = 300_000;
const PUBLISH_MS_MAX = 120_000;
/** Wires that are still being set up show within this. */
const WIRES_SETTLE_MS = 2_000;

export class LabAgent {
  readonly host: LabHost;
  readonly daemon: LabDaemon;
  readonly #runDir: string;

  constructor(host: LabHost, directory: string, trackerUrl: string, more: readonly string[]) {
    this.host = host;
    this.#runDir = join(directory, `${host.name}-run`);
    const args = [
      ...['agent', '--tracker', trackerUrl, '--node', host.name, '--listen', `${host.address}:0`],
      ...['--run', this.#runDir, '--cache', join(directory, `${host.name}-cache`)],
      // What goes over the network is then what guests read, as in the simulator.
      ...['--fill', 'never'],
      // One process to a node: what is measured is a storm, and no agent dies in it.
      ...['--holder', 'no', ...more],
    ];
    this.daemon = new LabDaemon(host, args, join(directory, `${host.name}.log`));
  }

  createVm(image: string, name: string): Promise<VmInfo> {
    return this.#ask('POST', '/v1/vms', { image, name });
  }

  /** Has a VM that is not running read this node's copy of its image, which must be complete. */
  rebaseToLocal(name: string): Promise<unknown> {
    return this.#ask('POST', `/v1/vms/${name}/rebase`, { to: 'local' });
  }

  vm(name: string): Promise<VmInfo> {
    return this.#ask('GET', `/v1/vms/${name}`);
  }

  removeVm(name: string): Promise<void> {
    return this.#ask('DELETE', `/v1/vms/${name}`);
  }

  evict(image: string): Promise<void> {
    return this.#ask('DELETE', `/v1/images/${image}`);
  }

  get nbdSocket(): string {
    return join(this.#runDir, 'nbd.sock');
  }

  async images(): Promise<readonly ImageStatus[]> {
    return (await this.#ask<AgentStatus>('GET', '/v1/status')).images;
  }

  /** Of its only image; undefined before it knows it. */
  async imageStatus(): Promise<ImageStatus | undefined> {
    return (await this.images())[0];
  }

  #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    return askJson<T>({ socketPath: join(this.#runDir, 'agent.sock'), path, method }, body);
  }
}

export class LabCloud {
  readonly lab: NetworkLab;
  readonly tracker: LabDaemon;
  readonly agents: readonly LabAgent[];
  readonly #directory: string;

  private constructor(
    lab: NetworkLab,
    tracker: LabDaemon,
    agents: readonly LabAgent[],
    directory: string,
  ) {
    this.lab = lab;
    this.tracker = tracker;
    this.agents = agents;
    this.#directory = directory;
  }

  /** Resolves when every agent is connected to the tracker. */
  static async start(options: LabCloudOptions): Promise<LabCloud> {
    const { directory, nodes, mbit, originMbit, argsOf = () => [] } = options;
    const lab = new NetworkLab();
    const store = lab.addHost('store', originMbit);
    const hosts = Array.from({ length: nodes }, (_, index) => lab.addHost(`node${index}`, mbit));
    const args = [
      ...['tracker', '--data', join(directory, 'data')],
      ...['--listen', `${store.address}:${TRACKER_PORT}`],
      ...['--origin-listen', `${store.address}:${ORIGIN_PORT}`],
    ];
    const tracker = new LabDaemon(store, args, join(directory, 'tracker.log'));
    await tracker.ready();
    const url = `http://${store.address}:${TRACKER_PORT}`;
    const agents = hosts.map((host, node) => new LabAgent(host, directory, url, argsOf(node)));
    await Promise.all(agents.map(({ daemon }) => daemon.ready()));
    const cloud = new LabCloud(lab, tracker, agents, directory);
    await until('all agents are connected to the tracker', async () => {
      const { nodes: connected } = await cloud.#trackerGet<{ nodes: unknown[] }>('/v1/nodes');
      return connected.length === nodes;
    });
    return cloud;
  }

  /** Rejects when a daemon ends; otherwise never settles. */
  untilDaemonEnds(): Promise<never> {
    const daemons = [this.tracker, ...this.agents.map(({ daemon }) => daemon)];
    return Promise.race(daemons.map(({ ended }) => ended));
  }

  get originPid(): number {
    const log = readFileSync(join(this.#directory, 'data', 'origin.log'), 'utf8');
    const line = log.split('\n').findLast((each) => each.includes('"origin is up"'));
    return (JSON.parse(line!) as { pid: number }).pid;
  }

  async publish(path: string): Promise<ImageSummary> {
    const { host } = this.tracker;
    const command = [...host.prefix, process.execPath, BOOTSWARM, 'publish', path, '--in-place'];
    // Whether the nodes are known before the storm is the storm's choice.
    const [program, ...args] = [
      ...command,
      '--prejoin',
      'none',
      '--json',
      '--tracker',
      this.#trackerUrl,
    ];
    const { code, stdout, stderr } = await run(program, args, { timeoutMs: PUBLISH_MS_MAX });
    if (code !== 0) throw new Error(`publish ${path}: ${stderr}`);
    return (JSON.parse(stdout) as { image: ImageSummary }).image;
  }

  /** Resolves when all nodes are members, each knows it, and no more wires are being set up. */
  async untilAllKnown(image: string): Promise<void> {
    await until(
      'all nodes are in the swarm',
      async () => (await this.swarm(image))?.members.length === this.agents.length,
      JOIN_MS_MAX,
    );
    let before = -1;
    let sameSince = performance.now();
    await until('wires between the nodes settle', async () => {
      const states = await Promise.all(this.agents.map((agent) => agent.imageStatus()));
      const wires = states.reduce((sum, image) => sum + (image?.peers ?? 0), 0);
      if (wires !== before) sameSince = performance.now();
      before = wires;
      return wires > 0 && performance.now() - sameSince > WIRES_SETTLE_MS;
    });
  }

  /** Undefined until somebody has joined. */
  async swarm(image: string): Promise<SwarmSummary | undefined> {
    const { swarms } = await this.#trackerGet<{ swarms: SwarmSummary[] }>('/v1/swarms');
    return swarms.find((swarm) => swarm.image === image);
  }

  get #trackerUrl(): string {
    return `http://${this.tracker.host.address}:${TRACKER_PORT}`;
  }

  #trackerGet<T>(path: string): Promise<T> {
    const { address } = this.tracker.host;
    return askJson<T>({ host: address, port: TRACKER_PORT, path, method: 'GET' });
  }
}
