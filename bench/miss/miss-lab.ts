/**
 * Four nodes and a store behind NICs of their own: one that holds an image whole in the reader's rack, one that holds one in
 * another zone, the reader, and a reader that fills meanwhile. Reads of 4 KiB, one after the other, each of a piece that the
 * reader does not have.
 */
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import { until } from '../../test/cluster.ts';
import { type LabAgent, LabCloud } from '../lab/lab-cloud.ts';
import { NbdReader } from '../nbd-reader.ts';
import { writeRandomFile } from '../random-file.ts';

export interface MissOptions {
  readonly mbit: number;
  /** Pieces read of each image. */
  readonly reads: number;
  /** Of the image that is filled meanwhile. */
  readonly fillMib: number;
}

export interface Misses {
  readonly name: string;
  /** In ms, in no order. */
  readonly latencies: readonly number[];
}

const MIB = 1024 * 1024;
const PIECE_LENGTH = 65_536;
const READ_LENGTH = 4_096;
const HOLDER = 0;
const FAR_HOLDER = 1;
const READER = 2;
const FILLER = 3;
const FILL_MS_MAX = 300_000;

export async function measureMisses(options: MissOptions, directory: string): Promise<Misses[]> {
  const { mbit, reads, fillMib } = options;
  const cloud = await LabCloud.start({
    ...{ directory, nodes: 4, mbit, originMbit: mbit },
    argsOf: (node) => [
      ...['--zone', node === FAR_HOLDER ? 'far' : 'near'],
      ...['--fill', node === READER ? 'never' : 'always'],
    ],
  });
  const lab = new MissLab(cloud, directory);
  const mib = Math.ceil((reads * PIECE_LENGTH) / MIB);
  const found: Misses[] = [];
  for (const [name, holder] of [
    ['same rack', HOLDER],
    ['other zone', FAR_HOLDER],
    ['origin', undefined],
  ] as const) {
    const image = await lab.publish(name, mib);
    if (holder !== undefined) await lab.fill(image, holder);
    found.push({ name, latencies: await lab.readMisses(image, READER, mib, reads) });
    await lab.checkSource(image, READER, holder === undefined);
  }
  const image = await lab.publish('filled meanwhile', fillMib);
  await lab.fill(image, HOLDER);
  const latencies = await lab.readMisses(image, FILLER, fillMib, Infinity);
  found.push({ name: 'same rack, while the image fills', latencies });
  return found;
}

class MissLab {
  readonly #cloud: LabCloud;
  readonly #directory: string;

  constructor(cloud: LabCloud, directory: string) {
    this.#cloud = cloud;
    this.#directory = directory;
  }

  async publish(name: string, mib: number): Promise<string> {
    const path = join(this.#directory, `${name.replaceAll(' ', '-')}.raw`);
    writeRandomFile(path, mib);
    return (await this.#cloud.publish(path)).id;
  }

  /** Not as a guest: others would be given ahead what it read. */
  async fill(image: string, node: number): Promise<void> {
    const agent = this.#cloud.agents[node];
    await agent.createVm(image, `holder-${image.slice(0, 8)}`);
    const isFull = async () => {
      const { piecesHad, pieceCount } = await imageOf(agent, image);
      return piecesHad === pieceCount;
    };
    await until('the holder has everything', isFull, FILL_MS_MAX);
  }

  /** Until `count` pieces were read, or every piece is there. Only what was not at hand counts. */
  async readMisses(image: string, node: number, mib: number, count: number): Promise<number[]> {
    const agent = this.#cloud.agents[node];
    const pieces = (mib * MIB) / PIECE_LENGTH;
    const order = new Random(1).shuffle(Array.from({ length: pieces }, (_, index) => index));
    const reader = await this.#open(image, node);
    const latencies: number[] = [];
    for (const pieceIndex of order.slice(0, count)) {
      latencies.push(await timeOf(reader, pieceIndex * PIECE_LENGTH));
    }
    const { read } = await imageOf(agent, image);
    await reader.close();
    // The agent says how many there were; what was at hand was answered faster.
    const misses = Math.round((read.peers + read.origin) / READ_LENGTH);
    return latencies.sort((a, b) => b - a).slice(0, misses);
  }

  async checkSource(image: string, node: number, isOrigin: boolean): Promise<void> {
    const { read } = await imageOf(this.#cloud.agents[node], image);
    const [wanted, other] = isOrigin ? [read.origin, read.peers] : [read.peers, read.origin];
    if (other > wanted / 100) throw new Error(`${other} bytes came from the wrong source`);
  }

  async #open(image: string, node: number): Promise<NbdReader> {
    const agent = this.#cloud.agents[node];
    const vm = await agent.createVm(image, `vm-${image.slice(0, 8)}`);
    // With the members known and wires made, as on a node that is up.
    await until('the node is in the swarm', async () => (await imageOf(agent, image)).peers > 0);
    return NbdReader.open(agent.nbdSocket, `${image}@${vm.name}`, READ_LENGTH, (error) => {
      console.error(`lab: ${error.message}`);
    });
  }
}

async function imageOf(agent: LabAgent, image: string) {
  const found = (await agent.images()).find(({ id }) => id === image);
  if (found === undefined) throw new Error(`${agent.host.name} does not have image ${image}`);
  return found;
}

function timeOf(reader: NbdReader, offset: number): Promise<number> {
  const begun = performance.now();
  return new Promise((resolve) => {
    reader.read(offset, READ_LENGTH, () => resolve(performance.now() - begun));
  });
}
