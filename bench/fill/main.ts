/**
 * What it costs to move pieces. First the data path alone: an origin and nodes as processes of their own, the CPU that each uses
 * per piece at each `--piece` length (default 65536,1048576), `--mib N` of random data (default 1024; 0: not), medians of
 * `--repeat N` (default 5), and the line through them, cost = per piece + per byte, that the simulator is given. Then a real
 * agent beside a real tracker fills `--gib N` (default 4; 0: not): how fast, and how much memory it takes at most, which must
 * stay within 256 MiB + its cache of hot pieces, `--hot-mib N` (default 64).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, until } from '../../test/cluster.ts';
import { peakResidentBytes } from '../../test/process-usage.ts';
import { benchFlags, decimal, whole, wholes } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { writeRandomFile } from '../random-file.ts';
import {
  type DataPathRun,
  type Flow,
  hashImage,
  type PieceCost,
  runDataPath,
} from './data-path.ts';

const MIB = 1024 * 1024;
const {
  piece,
  mib,
  repeat,
  gib,
  'hot-mib': hotMib,
  json,
} = benchFlags('fill', {
  piece: wholes('bytes of a piece', [65_536, 1_048_576]),
  mib: whole('of random data for the data path alone; 0: not', 1_024, 0),
  repeat: whole('times, of which the median counts', 5),
  gib: decimal('that an agent fills; 0: not', 4),
  'hot-mib': whole("of that agent's pieces in memory", 64),
});
const rows: BenchRow[] = [];
if (mib > 0) rows.push(...(await measureDataPath(piece)));
if (gib > 0) rows.push(...(await measureAgent(hotMib)));
reportBench('fill', rows, json);

async function measureDataPath(pieceLengths: readonly number[]): Promise<BenchRow[]> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-fill-'));
  try {
    const path = join(directory, 'image.raw');
    writeRandomFile(path, mib);
    const images = pieceLengths.map((each) => hashImage(path, mib * MIB, each));
    const runs = images.map((): DataPathRun[] => []);
    // In turns, so that whatever else the machine does meanwhile is shared by all.
    for (let turn = 0; turn < repeat; turn += 1) {
      for (const [at, image] of images.entries()) {
        runs[at].push(await runDataPath(image, directory));
      }
    }
    const found = pieceLengths.flatMap((length, at) => rowsOf(length, runs[at]));
    const first = { length: pieceLengths[0], runs: runs[0] };
    const last = { length: pieceLengths.at(-1)!, runs: runs.at(-1)! };
    return first.length === last.length ? found : [...found, ...lines(first, last)];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function rowsOf(pieceLength: number, runs: readonly DataPathRun[]): BenchRow[] {
  const name = `${pieceLength / 1024} KiB`;
  const medianOf = (of: (run: DataPathRun) => number) => median(runs.map(of));
  const cost = (what: string, of: (run: DataPathRun) => PieceCost): BenchRow[] => [
    { name: `${name}: ${what}, user`, value: medianOf((run) => of(run).userMs), unit: 'ms' },
    { name: `${name}: ${what}, system`, value: medianOf((run) => of(run).systemMs), unit: 'ms' },
  ];
  const relayed = medianOf((run) => run.relay.relayed).toFixed(2);
  const flow = (what: string, of: (run: DataPathRun) => Flow): BenchRow[] => [
    {
      name: `${name}: ${what}`,
      value: medianOf((run) => of(run).megabytesPerSecond),
      unit: 'MB/s',
    },
    { name: `${name}: ${what}, idle`, value: 100 * medianOf((run) => of(run).idle), unit: '%' },
  ];
  return [
    ...cost('a piece received', (run) => run.again.receive),
    ...cost('a piece sent', (run) => run.again.send),
    ...cost('a piece read for the first time and sent', (run) => run.first.send),
    ...cost(`a piece received and ${relayed} sent`, (run) => run.relay.receive),
    ...flow('one node fills', (run) => run.again),
    ...flow('each of two that fill', (run) => run.relay),
  ];
}

interface Measured {
  readonly length: number;
  readonly runs: readonly DataPathRun[];
}

/** Through the medians of the shortest and the longest piece. */
function lines(first: Measured, last: Measured): BenchRow[] {
  const line = (what: string, of: (run: DataPathRun) => PieceCost): BenchRow[] => {
    const at = ({ runs }: Measured) => median(runs.map((run) => of(run).userMs + of(run).systemMs));
    const perByte = (at(last) - at(first)) / (last.length - first.length);
    return [
      { name: `${what}: per piece`, value: at(first) - perByte * first.length, unit: 'ms' },
      { name: `${what}: per 64 KiB of it`, value: perByte * 65_536, unit: 'ms' },
    ];
  };
  return [
    ...line('received', (run) => run.again.receive),
    ...line('sent', (run) => run.again.send),
    ...line('read for the first time and sent', (run) => run.first.send),
  ];
}

async function measureAgent(hotMib: number): Promise<BenchRow[]> {
  const cluster = await Cluster.start(0);
  try {
    const path = join(cluster.directory, 'image.raw');
    writeRandomFile(path, gib * 1024);
    await cluster.publish(path, 'image', '--in-place');
    const agent = await cluster.addAgent('node1', ['--fill', 'always', '--hot', `${hotMib}M`]);
    const start = performance.now();
    await agent.attach('image');
    await until(
      'the image is complete',
      async () => {
        const [{ piecesHad, pieceCount }] = (await agent.status()).images;
        return piecesHad === pieceCount;
      },
      1_200_000,
    );
    const seconds = (performance.now() - start) / 1_000;
    const peak = peakResidentBytes(agent.pid) / MIB;
    const bound = 256 + hotMib;
    const speed = (gib * 1024 * MIB) / 1e6 / seconds;
    return [
      { name: `fill ${gib} GiB from the origin, stored`, value: speed, unit: 'MB/s' },
      {
        name: `largest RSS of the agent, hot pieces ${hotMib} MiB`,
        value: peak,
        unit: 'MiB',
        peer: 'bound',
        peerValue: bound,
        ratio: bound / peak,
      },
    ];
  } finally {
    await cluster.stop();
  }
}
