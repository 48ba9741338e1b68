/**
 * Ours: VMs made by the agents of a cloud in the lab. From a cache that is complete, from the file of that cache without the
 * agent (what a pivot leads to), and cold, of an image that nobody has anything of.
 */
import { copyFileSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { VmInfo } from '@bootswarm/agent';
import { until } from '../../test/cluster.ts';
import type { LabAgent, LabCloud } from '../lab/lab-cloud.ts';
import type { BootSource, GuestPlace } from './boot-source.ts';

/** While caches are filled, which is not measured. */
const FILL_MBIT = 1_000;
const FILL_MS_MAX = 300_000;
const JOIN_MS_MAX = 60_000;
/** Wires that are still being set up show within this. */
const WIRES_SETTLE_MS = 1_000;
/** The disk signature in an MBR (UEFI 2.10, table 5.1), which nothing on the demo's disk looks at. */
const SIGNATURE_OFFSET = 440;

/** An image that is made complete on all nodes when the first turn needs it. */
export class FilledImage {
  readonly #cloud: LabCloud;
  readonly #disk: string;
  readonly #mbit: number;
  #id: Promise<string> | undefined;

  /** `mbit`: of the NICs, when no cache is being filled. */
  constructor(cloud: LabCloud, disk: string, mbit: number) {
    this.#cloud = cloud;
    this.#disk = disk;
    this.#mbit = mbit;
  }

  /** Resolves to its id. */
  filled(): Promise<string> {
    this.#id ??= this.#fillAll();
    return this.#id;
  }

  async #fillAll(): Promise<string> {
    const { id } = await this.#cloud.publish(this.#disk);
    this.#reshape(FILL_MBIT);
    await Promise.all(this.#cloud.agents.map((agent) => this.#fill(id, agent)));
    this.#reshape(this.#mbit);
    return id;
  }

  /** A node fills what a VM of its wants, when that has been quiet for a while. */
  async #fill(id: string, agent: LabAgent): Promise<void> {
    const { name } = await agent.createVm(id, 'filler');
    const isComplete = async () => {
      const image = await imageOf(agent, id);
      return image !== undefined && image.piecesHad === image.pieceCount;
    };
    await until('the image is complete', isComplete, FILL_MS_MAX);
    await agent.removeVm(name);
  }

  #reshape(mbit: number): void {
    const { lab, tracker, agents } = this.#cloud;
    for (const { host } of [tracker, ...agents]) lab.reshape(host, mbit);
  }
}

/** Makes VMs and takes them away. What there is of the image is the subclass's. */
abstract class AgentSource implements BootSource {
  readonly #cloud: LabCloud;
  #places: readonly GuestPlace[] = [];

  constructor(cloud: LabCloud) {
    this.#cloud = cloud;
  }

  abstract prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]>;

  async clear(): Promise<void> {
    await Promise.all(this.#places.map(({ node, name }) => this.agent(node).removeVm(name)));
    this.#places = [];
  }

  protected agent(node: number): LabAgent {
    return this.#cloud.agents[node];
  }

  protected create(image: string, places: readonly GuestPlace[]): Promise<VmInfo[]> {
    this.#places = places;
    return Promise.all(places.map(({ node, name }) => this.agent(node).createVm(image, name)));
  }
}

/** The agent serves, from its cache alone. */
export class WarmSource extends AgentSource {
  readonly #image: FilledImage;

  constructor(cloud: LabCloud, image: FilledImage) {
    super(cloud);
    this.#image = image;
  }

  async prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    const image = await this.#image.filled();
    return (await this.create(image, places)).map(({ qemuCommand }) => qemuCommand);
  }
}

/** No agent in the path: the overlay reads through to the file in the cache. */
export class PivotedSource extends AgentSource {
  readonly #image: FilledImage;

  constructor(cloud: LabCloud, image: FilledImage) {
    super(cloud);
    this.#image = image;
  }

  async prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    await this.create(await this.#image.filled(), places);
    return await Promise.all(
      places.map(async ({ node, name }) => {
        await this.agent(node).rebaseToLocal(name);
        const { backing, qemuCommand } = await this.agent(node).vm(name);
        if (backing !== 'local') throw new Error(`${name} reads from ${backing}`);
        return qemuCommand;
      }),
    );
  }
}

/** Each turn has an image of its own, of which no node has a piece and nobody has learned a boot order. */
export class ColdSource extends AgentSource {
  readonly #cloud: LabCloud;
  readonly #disk: string;
  readonly #directory: string;
  #turn = 0;
  #image = '';
  #nodes: readonly number[] = [];

  constructor(cloud: LabCloud, disk: string, directory: string) {
    super(cloud);
    this.#cloud = cloud;
    this.#disk = disk;
    this.#directory = directory;
  }

  async prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    this.#turn += 1;
    this.#nodes = nodesOf(places);
    const { id } = await this.#cloud.publish(this.#anotherDisk());
    this.#image = id;
    const vms = await this.create(id, places);
    await this.#untilMet();
    return vms.map(({ qemuCommand }) => qemuCommand);
  }

  override async clear(): Promise<void> {
    await super.clear();
    await Promise.all(this.#nodes.map((node) => this.agent(node).evict(this.#image)));
  }

  /** The same to a guest, and another image to us. */
  #anotherDisk(): string {
    const path = join(this.#directory, `cold-${this.#turn}.raw`);
    copyFileSync(this.#disk, path);
    const signature = Buffer.alloc(4);
    signature.writeUInt32LE(this.#turn);
    const file = openSync(path, 'r+');
    writeSync(file, signature, 0, signature.length, SIGNATURE_OFFSET);
    return path;
  }

  /** As on nodes that have been up for a while: all are members, and no more wires are being made. */
  async #untilMet(): Promise<void> {
    let before = -1;
    let sameSince = performance.now();
    await until(
      'the nodes have met',
      async () => {
        const images = await Promise.all(
          this.#nodes.map((node) => imageOf(this.agent(node), this.#image)),
        );
        const wires = images.reduce((sum, image) => sum + (image?.peers ?? 0), 0);
        if (wires !== before) sameSince = performance.now();
        before = wires;
        const isMet = images.every((image) => (image?.peers ?? 0) > 0);
        return isMet && performance.now() - sameSince > WIRES_SETTLE_MS;
      },
      JOIN_MS_MAX,
    );
  }
}

function nodesOf(places: readonly GuestPlace[]): number[] {
  return [...new Set(places.map(({ node }) => node))];
}

async function imageOf(agent: LabAgent, id: string) {
  return (await agent.images()).find((image) => image.id === id);
}
