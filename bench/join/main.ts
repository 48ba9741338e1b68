/**
 * Agents that are up join the swarm of an image at the same moment: what leaves the tracker's host for it, and how long each
 * takes from asking to its first piece. The image is sparse, with as many pieces of data as a Debian 12 of 4 GiB.
 * `--agents N` (default 4), `--pieces N` of data (default 7412), `--json FILE`.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { Cluster } from '../../test/cluster.ts';
import { benchFlags, whole } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { NbdReader } from '../nbd-reader.ts';

const PIECE_LENGTH = 65_536;
/** Of the recorded boot's disk. */
const PIECE_COUNT = 65_536;
const {
  agents: agentCount,
  pieces,
  json,
} = benchFlags('join', {
  agents: whole('that join at the same moment', 4),
  pieces: whole('of data in the image', 7_412),
});

/** Passes agents through to the tracker and counts what comes back. */
class CountingProxy {
  bytesFromTracker = 0;
  readonly #server = createServer();

  async listen(trackerUrl: string): Promise<string> {
    const { hostname, port } = new URL(trackerUrl);
    this.#server.on('connection', (agent) => {
      const tracker = connect(Number(port), hostname);
      agent.pipe(tracker).pipe(agent);
      tracker.on('data', ({ length }) => {
        this.bytesFromTracker += length;
      });
      for (const socket of [agent, tracker]) socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address() as { port: number };
    return `http://127.0.0.1:${address.port}`;
  }

  close(): void {
    this.#server.close();
  }
}

function makeSparseImage(path: string): void {
  const file = openSync(path, 'w');
  const word = Buffer.alloc(4);
  for (let index = 0; index < pieces; index += 1) {
    word.writeUInt32LE(index + 1);
    // Spread over the first half, a few pieces together, as files are.
    writeSync(file, word, 0, 4, (Math.floor(index / 8) * 32 + (index % 8)) * PIECE_LENGTH);
  }
  ftruncateSync(file, PIECE_COUNT * PIECE_LENGTH);
  closeSync(file);
}

/** The first 4 KiB: there is no program to start, so it can be timed. */
async function readOnce(socket: string, image: string): Promise<void> {
  const failed = Promise.withResolvers<never>();
  const reader = await NbdReader.open(socket, image, 4_096, failed.reject);
  const read = new Promise<void>((resolve) => reader.read(0, 4_096, () => resolve()));
  await Promise.race([read, failed.promise]);
  await reader.close();
}

const cluster = await Cluster.start(0);
const proxy = new CountingProxy();
try {
  const path = join(cluster.directory, 'image.raw');
  makeSparseImage(path);
  const image = await cluster.publish(path, 'image', '--in-place');
  const trackerUrl = cluster.url;
  cluster.url = await proxy.listen(trackerUrl);
  for (let each = 1; each <= agentCount; each += 1) await cluster.addAgent(`node${each}`);
  const before = proxy.bytesFromTracker;
  const seconds = await Promise.all(
    cluster.agents.map(async (agent) => {
      const start = performance.now();
      const { socket } = await agent.attach('image');
      await readOnce(socket, image);
      return (performance.now() - start) / 1_000;
    }),
  );
  const fromTracker = proxy.bytesFromTracker - before;
  cluster.url = trackerUrl;
  const { origin } = await cluster.swarm(image);
  const fromOrigin = origin.layerBytesSent;
  const { layer } = (await cluster.agents[0].status()).images[0];
  console.log(`the first agent had the layer from: ${layer.from}`);
  const rows: BenchRow[] = [
    { name: 'tracker sent, per agent', value: fromTracker / agentCount / 1_000, unit: 'kB' },
    { name: 'origin sent of the layer, in all', value: fromOrigin / 1_000, unit: 'kB' },
    {
      name: 'tracker and origin sent before any piece, per agent',
      value: (fromTracker + fromOrigin) / agentCount / 1_000,
      unit: 'kB',
    },
    { name: 'from joining to the first piece, median', value: median(seconds), unit: 's' },
    { name: 'from joining to the first piece, last', value: Math.max(...seconds), unit: 's' },
  ];
  reportBench('join', rows, json);
} finally {
  await cluster.stop();
  proxy.close();
}
