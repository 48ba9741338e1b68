/**
 * A boot storm in the simulator: the real engine and the real registry of swarms on a simulated network, replaying a recorded
 * boot on every node. Prints what guests saw and what the origin sent. Virtual time: the same commit, options and seed give
 * the same figures on any machine.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { parseBootTrace, runStorm, type StormResult } from '@bootswarm/sim';

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
  --learned yes|no    nodes have the boot order from an earlier storm (yes)
  --known yes|no      agents are in the swarm before the first guest arrives (yes)
  --layer swarm|tracker  where nodes get the piece layer (swarm)
  --poisoners N       nodes that send wrong bytes (0)
  --seed S            (1)
  --json FILE         write the result there

  npm run bench -- storm --nodes 1000 --think 0 --known no
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
    learned: { type: 'string', default: 'yes' },
    known: { type: 'string', default: 'yes' },
    layer: { type: 'string', default: 'swarm' },
    poisoners: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}

/** Bytes per millisecond in a Mbit/s. */
const MBIT = 125;
const startedAt = performance.now();
const result = runStorm({
  trace: parseBootTrace(JSON.parse(readFileSync(values.trace, 'utf8'))),
  nodes: number('nodes', 1),
  vmsPerNode: number('vms-per-node', 1),
  thinkScale: number('think', 0),
  arrivalMs: number('arrival', 0) * 1_000,
  nic: number('mbit', 1) * MBIT,
  originNic: number('origin-mbit', 1) * MBIT,
  zones: number('zones', 1),
  betweenZones: values['zone-mbit'] === undefined ? Infinity : number('zone-mbit', 1) * MBIT,
  pieceLength: number('piece', 16_384),
  isLearned: yesOrNo('learned'),
  isKnownBefore: yesOrNo('known'),
  layerFrom: layerFrom(),
  poisoners: number('poisoners', 0),
  seed: number('seed', 0),
});
const wallSeconds = (performance.now() - startedAt) / 1_000;
print(result);
if (values.json !== undefined) write(values.json, result);

function print(storm: StormResult): void {
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
    [
      'joined',
      `in ${storm.joinMsP50.toFixed(0)} ms (p50), ${storm.joinMsMax.toFixed(0)} ms (last)`,
    ],
    [
      'sent for that',
      `tracker ${mib(storm.trackerBytes)} MiB, origin ${mib(storm.layerBytes)} MiB of piece layer`,
    ],
    ['reads that stalled', `${stalls} ms (p50 / p99 / p99.9)`],
    ['  ended by', `peers ${storm.stallsBySource.peers}, origin ${storm.stallsBySource.origin}`],
    ['wires left as wrong', String(storm.bans)],
    ['brought and not used', `${storm.prefetchedUnusedRatio.toFixed(2)} x what was used`],
    [
      'simulated',
      `${storm.events} events in ${wallSeconds.toFixed(1)} s, event log ${storm.eventLogHash}`,
    ],
  ];
  for (const [name, text] of rows) console.log(`${name.padEnd(22)} ${text}`);
}

function write(path: string, storm: StormResult): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const { vmSeconds, ...figures } = storm;
  const policies = [{ policy: 'bootswarm', ...figures, wallSeconds }];
  const { json, help, ...given } = values;
  const options = { ...given, trace: basename(given.trace) };
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

function yesOrNo(name: 'learned' | 'known'): boolean {
  const value = values[name];
  return value === 'yes' || (value !== 'no' && fail(`--${name} is yes or no`));
}

function layerFrom(): 'swarm' | 'tracker' {
  const { layer } = values;
  return layer === 'swarm' || layer === 'tracker' ? layer : fail('--layer is swarm or tracker');
}

function fail(what: string): never {
  process.stderr.write(`${what}\n\n${USAGE}`);
  process.exit(2);
}
