/**
 * A boot storm in the simulator: the real engine and the real registry of swarms on a simulated network, replaying a recorded
 * boot on every node. Prints what guests saw and what the origin sent. Virtual time: the same commit, options and seed give
 * the same figures on any machine. With --real the same storm of real programs on this machine, to hold the simulator against.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parseBootTrace, runStorm, type StormOptions, type StormResult } from '@bootswarm/sim';
import { labObstacle, runInLab } from './real/lab-process.ts';
import type { RealStormResult } from './real/real-result.ts';
import type { RealStormOptions } from './real/real-storm.ts';

const USAGE = `usage: npm run bench -- storm [options]
  --nodes N           compute nodes (100)
  --vms-per-node K    guests on each (1)
  --trace FILE        recorded boot (bench/traces/debian12-minimal.json)
  --think S           think times of the trace are multiplied by this (0.2)
  --arrival SECONDS   guests arrive evenly over this (1)
  --mbit NIC          of each node, Mbit/s (1000)
  --origin-mbit NIC   of the origin and the tracker (1000)
  --zones Z           nodes are spread over so many (1)
  --zone-mbit CAP     between each two zones (unlimited)
  --piece BYTES       piece length (65536)
  --learned yes|no    nodes have the boot order from an earlier storm (yes; with --real no)
  --known yes|no      agents are in the swarm before the first guest arrives (yes)
  --poisoners N       nodes that send wrong bytes (0)
  --seed S            (1)
  --json FILE         write the result there
  --real              real tracker, origin, agents and players of the trace, each node in a network namespace
                      of its own with a NIC of --mbit; needs root

  npm run bench -- storm --nodes 1000 --think 0 --known no
  npm run bench -- storm --real --nodes 16 --mbit 50 --origin-mbit 50
`;
const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    nodes: { type: 'string', default: '100' },
    'vms-per-node': { type: 'string', default: '1' },
    trace: {
      type: 'string',
      default: new URL('../traces/debian12-minimal.json', import.meta.url).pathname,
    },
    think: { type: 'string', default: '0.2' },
    arrival: { type: 'string', default: '1' },
    mbit: { type: 'string', default: '1000' },
    'origin-mbit': { type: 'string', default: '1000' },
    zones: { type: 'string', default: '1' },
    'zone-mbit': { type: 'string' },
    piece: { type: 'string', default: '65536' },
    learned: { type: 'string' },
    known: { type: 'string', default: 'yes' },
    poisoners: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    real: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

/** Bytes per millisecond in a Mbit/s. */
const MBIT = 125;
const learned = values.learned ?? (values.real ? 'no' : 'yes');
const workload = {
  nodes: number('nodes', 1),
  vmsPerNode: number('vms-per-node', 1),
  thinkScale: number('think', 0),
  arrivalMs: number('arrival', 0) * 1_000,
  pieceLength: number('piece', 16_384),
  isKnownBefore: yesOrNo('known', values.known),
  seed: number('seed', 0),
};
const startedAt = performance.now();
const result = values.real ? await runReal() : runSimulated();
const wallSeconds = (performance.now() - startedAt) / 1_000;
print(result);
if (values.json !== undefined) write(values.json, result);

function runSimulated(): StormResult {
  const options: StormOptions = {
    ...workload,
    trace: parseBootTrace(JSON.parse(readFileSync(values.trace, 'utf8'))),
    nic: number('mbit', 1) * MBIT,
    originNic: number('origin-mbit', 1) * MBIT,
    zones: number('zones', 1),
    betweenZones: values['zone-mbit'] === undefined ? Infinity : number('zone-mbit', 1) * MBIT,
    isLearned: yesOrNo('learned', learned),
    poisoners: number('poisoners', 0),
  };
  return runStorm(options);
}

async function runReal(): Promise<RealStormResult> {
  if (values.zones !== '1' || values['zone-mbit'] !== undefined || values.poisoners !== '0') {
    fail('--zones, --zone-mbit and --poisoners are for the simulator; leave them out with --real');
  }
  if (yesOrNo('learned', learned)) {
    fail('--learned yes is for the simulator: a real tracker keeps no boot order yet');
  }
  const obstacle = labObstacle();
  if (obstacle !== undefined) {
    process.stderr.write(`storm --real: ${obstacle}\n`);
    process.exit(1);
  }
  const options: RealStormOptions = {
    ...workload,
    traceFile: resolve(values.trace),
    mbit: number('mbit', 1),
    originMbit: number('origin-mbit', 1),
  };
  const main = new URL('./real/main.ts', import.meta.url).pathname;
  return runInLab(main, JSON.stringify(options), (directory) =>
    JSON.parse(readFileSync(join(directory, 'result.json'), 'utf8')),
  );
}

function print(storm: StormResult | RealStormResult): void {
  const { readStallMsP50, readStallMsP99, readStallMsP999 } = storm;
  const stalls = [readStallMsP50, readStallMsP99, readStallMsP999]
    .map((ms) => ms.toFixed(1))
    .join(' / ');
  const rows: [string, string][] = [
    ['last VM ready', `${storm.lastVmSeconds.toFixed(2)} s after the first arrived`],
    [
      'the same, warm',
      `${storm.warmLastVmSeconds.toFixed(2)} s; cold / warm ${storm.coldWarmRatio.toFixed(3)}`,
    ],
    ['a VM, mean / p99', `${storm.meanVmSeconds.toFixed(2)} / ${storm.p99VmSeconds.toFixed(2)} s`],
    ['fluid limit', `${storm.fluidLimitSeconds.toFixed(2)} s to move what each needs`],
    [
      'origin sent',
      `${mib(storm.originBytes)} MiB, ${storm.originRatio.toFixed(3)} x the bytes needed`,
    ],
    ['reads that stalled', `${stalls} ms (p50 / p99 / p99.9)`],
    ['brought and not used', `${storm.prefetchedUnusedRatio.toFixed(2)} x what was used`],
    ...('real' in storm ? realRows(storm) : simulatedRows(storm)),
  ];
  for (const [name, text] of rows) console.log(`${name.padEnd(22)} ${text}`);
}

function simulatedRows(storm: StormResult): [string, string][] {
  const { stallsBySource, bans, events, eventLogHash } = storm;
  return [
    ['stalls ended by', `peers ${stallsBySource.peers}, origin ${stallsBySource.origin}`],
    ['wires left as wrong', String(bans)],
    ['simulated', `${events} events in ${wallSeconds.toFixed(1)} s, event log ${eventLogHash}`],
  ];
}

function realRows({ real }: RealStormResult): [string, string][] {
  const reasons = Object.entries(real.originRequests).filter(([, count]) => count > 0);
  return [
    ['asked of the origin', reasons.map(([reason, count]) => `${reason} ${count}`).join(', ')],
    ['received for nothing', `${mib(real.bytesWasted)} MiB`],
    ['frames of the origin', `${real.originWireRatio.toFixed(3)} x the bytes of its pieces`],
    ['packets dropped', `${real.packetsDropped}; sent again ${real.segmentsRetransmitted}`],
    [
      'processors idle',
      `${percent(real.cpuIdle)}, in the busiest half second ${percent(real.cpuIdleMin)}`,
    ],
    [
      'processor time',
      `agents ${real.agentCpuSeconds.toFixed(1)} s (waited ${real.agentCpuWaitSeconds.toFixed(1)} s), tracker and origin ` +
        `${real.storeCpuSeconds.toFixed(1)} s, players ${real.playerCpuSeconds.toFixed(1)} s, ` +
        `others ${real.otherCpuSeconds.toFixed(1)} s`,
    ],
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function write(path: string, storm: StormResult | RealStormResult): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const { vmSeconds, ...figures } = storm;
  const policies = [{ policy: 'bootswarm', ...figures, wallSeconds }];
  const { json, help, ...given } = values;
  const options = { ...given, learned, trace: basename(given.trace) };
  writeFileSync(
    path,
    `${JSON.stringify({ bench: 'storm', commit, options, policies }, undefined, 2)}\n`,
  );
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

function number(name: keyof typeof values, min: number): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= min) return value;
  return fail(`--${name} ${values[name]} is not a number from ${min} on`);
}

function yesOrNo(name: 'learned' | 'known', value: string): boolean {
  return value === 'yes' || (value !== 'no' && fail(`--${name} is yes or no`));
}

function fail(what: string): never {
  process.stderr.write(`${what}\n\n${USAGE}`);
  process.exit(2);
}
