/**
 * One agent fills its cache with a whole image from the origin: how fast, and how much memory the agent takes at most, which must
 * stay within 256 MiB + its cache of hot pieces. `--gib N` of random data (default 4), `--hot-mib N` (default 64).
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Cluster, until } from '../../test/cluster.ts';
import { reportBench } from '../bench-report.ts';

const MIB = 1024 * 1024;
const { values } = parseArgs({
  options: {
    gib: { type: 'string', default: '4' },
    'hot-mib': { type: 'string', default: '64' },
    json: { type: 'string' },
  },
});
const gib = Number(values.gib);
const hotMib = Number(values['hot-mib']);
const cluster = await Cluster.start(0);
try {
  const path = join(cluster.directory, 'image.raw');
  const file = openSync(path, 'w');
  const chunk = Buffer.alloc(MIB);
  for (let at = 0; at < gib * 1024; at += 1) writeSync(file, randomFillSync(chunk));
  closeSync(file);
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
  const peak = Number(
    /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))![1],
  );
  const bound = 256 + hotMib;
  const rows = [
    {
      name: `fill ${gib} GiB from the origin, stored`,
      value: (gib * 1024 * MIB) / 1e6 / seconds,
      unit: 'MB/s',
    },
    {
      name: `largest RSS of the agent, hot pieces ${hotMib} MiB`,
      value: peak / 1024,
      unit: 'MiB',
      peer: 'bound',
      peerValue: bound,
      ratio: bound / (peak / 1024),
    },
  ];
  reportBench('fill', rows, values.json);
} finally {
  await cluster.stop();
}
