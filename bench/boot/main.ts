/**
 * How long the demo's VMs take from the start of QEMU to the marker on their console, all begun at once: from a raw file on
 * their own host (`local`), from the agent's complete cache (`warm`), from the file of that cache, as after a pivot
 * (`pivoted`), cold from the swarm (`cold`: nobody has a piece or a boot order), from one qemu-nbd (`qemu-nbd`), from
 * Debian's tgt by QEMU's own iSCSI driver (`iscsi`) and from an nbdkit with the torrent plugin on each host (`torrent`, only
 * if asked for: it finds its peer at once, but downloads the whole disk, zeros too, beside what its guest waits for). In
 * turns; the last VM counts, and of `--repeat R` (default 1) the median. `--modes LIST`, `--vms LIST` (default 1,4,8),
 * `--nodes N` (default: one for each VM), `--mbit M` of each NIC, both ways, that of the store too (default 30), `--json
 * FILE`. Needs root, and in TMPDIR up to 0.5 GB for each cold turn and 0.25 GB for each node.
 *
 * QEMU emulates here, and all guests share this machine's cores: on two, beside other work, four booted from a local file in
 * 30 s, each reading some 36 MB: 5 MB/s together. At 30 Mbit/s the store's link gives 3.7 MB/s, so that it is what the guests
 * of a central server wait for, as they would on hosts of their own. What `local` takes with as many VMs is what the cores
 * cost; on faster cores, a faster link will do.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { demoImage } from '../../test/e2e/booting.ts';
import { benchFlags, names, whole, wholeIfGiven, wholes } from '../bench-flags.ts';
import { type BenchRow, median, reportBench } from '../bench-report.ts';
import { labObstacle, runInLab } from '../lab/lab-process.ts';
import { type BootBenchOptions, type BootTurn, MODES, type Mode } from './boot-lab.ts';

const LAB = fileURLToPath(new URL('./lab-main.ts', import.meta.url));
/** One VM of a torrent, alone on the link, had not shown its marker after a minute. */
const BY_DEFAULT = MODES.filter((mode) => mode !== 'torrent');
/** Ours, and what each is compared with. */
const COMPARED: Readonly<Partial<Record<Mode, readonly Mode[]>>> = {
  warm: ['local'],
  pivoted: ['local'],
  cold: ['qemu-nbd', 'iscsi', 'torrent'],
};

const { modes, vms, json, ...flags } = benchFlags('boot', {
  modes: names('what the VMs boot from', BY_DEFAULT, MODES),
  vms: wholes('VMs at once', [1, 4, 8]),
  nodes: wholeIfGiven('hosts; else one for each VM'),
  mbit: whole('of each NIC, both ways, that of the store too', 30),
  repeat: whole('turns, of which the median counts', 1),
});
const obstacle = labObstacle();
if (obstacle !== undefined) fail(obstacle);
const { path: disk, sha256 } = await demoImage();
const options: BootBenchOptions = {
  ...{ disk, sha256, modes, vms },
  nodes: flags.nodes ?? Math.max(...vms),
  mbit: flags.mbit,
  repeat: flags.repeat,
};
const turns = await runInLab(LAB, JSON.stringify(options), (directory) => {
  return JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')) as BootTurn[];
});
reportBench(
  'boot',
  vms.flatMap((count) => modes.flatMap((mode) => rowsOf(mode, count))),
  json,
);

/** Beside each it is compared with; alone if there is none. */
function rowsOf(mode: Mode, count: number): BenchRow[] {
  const value = secondsOf(mode, count);
  const name = `${mode}, ${count} VM${count === 1 ? '' : 's'}`;
  const row = { name, value, unit: 's' };
  const peers = (COMPARED[mode] ?? []).filter((peer) => modes.includes(peer));
  if (peers.length === 0) return [row];
  return peers.map((peer) => {
    const peerValue = secondsOf(peer, count);
    return { ...row, peer, peerValue, ratio: peerValue / value };
  });
}

function secondsOf(mode: Mode, count: number): number {
  const found = turns.filter((turn) => turn.mode === mode && turn.vms === count);
  return median(found.map(({ seconds }) => Math.max(...seconds)));
}

function fail(why: string): never {
  process.stderr.write(`bench boot: ${why}\n`);
  process.exit(1);
}
