/** The turns of bench boot: for each number of VMs and each repetition, every mode once, one after the other. */
import { type LabAgent, LabCloud } from '../lab/lab-cloud.ts';
import { ColdSource, FilledImage, PivotedSource, WarmSource } from './agent-sources.ts';
import type { BootSource, GuestPlace } from './boot-source.ts';
import { LabGuest } from './lab-guest.ts';
import { IscsiSource, LocalSource, QemuNbdSource, TorrentSource } from './peer-sources.ts';

export const MODES = [
  ...(['local', 'warm', 'pivoted'] as const),
  ...(['cold', 'qemu-nbd', 'iscsi', 'torrent'] as const),
];
export type Mode = (typeof MODES)[number];

export interface BootBenchOptions {
  /** The demo's image, and what its guest must print. */
  readonly disk: string;
  readonly sha256: string;
  readonly modes: readonly Mode[];
  readonly vms: readonly number[];
  readonly nodes: number;
  readonly mbit: number;
  readonly repeat: number;
}

export interface BootTurn {
  readonly mode: Mode;
  readonly vms: number;
  /** From the start of all QEMUs to the marker of each, in the order of their consoles. */
  readonly seconds: readonly number[];
}

/** Runs in a lab process. */
export async function measureBoots(
  options: BootBenchOptions,
  directory: string,
  say: (what: string) => void,
): Promise<BootTurn[]> {
  const { nodes, mbit } = options;
  const cloud = await LabCloud.start({
    ...{ directory, nodes, mbit, originMbit: mbit },
    // VMs stay where their turn puts them, and what fills an image leaves boots alone.
    argsOf: () => ['--pivot', 'no', '--fill', 'idle', '--accel', 'tcg'],
  });
  const turns = takeTurns(options, sourcesOf(options, cloud, directory), cloud.agents, say);
  return Promise.race([turns, cloud.untilDaemonEnds()]);
}

function sourcesOf(
  { disk, mbit, modes }: BootBenchOptions,
  cloud: LabCloud,
  directory: string,
): Map<Mode, BootSource> {
  const peer = { disk, directory, store: cloud.tracker.host };
  const needsFilled = modes.includes('warm') || modes.includes('pivoted');
  const filled = needsFilled ? new FilledImage(cloud, disk, mbit) : undefined;
  const made: Record<Mode, () => BootSource> = {
    local: () => new LocalSource(peer),
    warm: () => new WarmSource(cloud, filled!),
    pivoted: () => new PivotedSource(cloud, filled!),
    cold: () => new ColdSource(cloud, disk, directory),
    'qemu-nbd': () => new QemuNbdSource(peer),
    iscsi: () => new IscsiSource(peer),
    torrent: () => new TorrentSource(peer),
  };
  return new Map(modes.map((mode) => [mode, made[mode]()]));
}

async function takeTurns(
  { vms, repeat, sha256 }: BootBenchOptions,
  sources: ReadonlyMap<Mode, BootSource>,
  agents: readonly LabAgent[],
  say: (what: string) => void,
): Promise<BootTurn[]> {
  const turns: BootTurn[] = [];
  let named = 0;
  for (const count of vms) {
    for (let at = 0; at < repeat; at += 1) {
      for (const [mode, source] of sources) {
        const places = Array.from({ length: count }, (_, index): GuestPlace => {
          const node = index % agents.length;
          named += 1;
          return { name: `vm${named}`, node, host: agents[node].host };
        });
        const seconds = await bootAll(source, places, sha256);
        turns.push({ mode, vms: count, seconds });
        say(`${mode}, VMs: ${count}; ${seconds.map((each) => each.toFixed(1)).join(' ')} s`);
      }
    }
  }
  return turns;
}

async function bootAll(
  source: BootSource,
  places: readonly GuestPlace[],
  sha256: string,
): Promise<number[]> {
  const guests: LabGuest[] = [];
  try {
    const commands = await source.prepare(places);
    for (const [at, { host }] of places.entries()) {
      guests.push(new LabGuest(host, commands[at], sha256));
    }
    return await Promise.all(guests.map(({ readySeconds }) => readySeconds));
  } finally {
    await Promise.all(guests.map((guest) => guest.end()));
    await source.clear();
  }
}
