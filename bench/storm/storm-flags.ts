/** The command line of the storm benchmark: what each option means, its default, and what is wrong with a value. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { isPieceLength, PIECE_COUNT_MAX } from '@bootswarm/metainfo';
import {
  type BootTrace,
  FAULT_KINDS,
  type Fault,
  type FaultKind,
  faultOf,
  hitsNodes,
  isForGood,
  MEASURED_COSTS,
  nodesHitBy,
  POLICY_NAMES,
  type PolicyName,
  parseBootTrace,
  type StormOptions,
} from '@bootswarm/sim';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import { checkWritable, UsageError } from '../bench-flags.ts';
import { syntheticTrace } from '../traces/synthetic.ts';
import type { RealStormOptions } from './real/real-storm.ts';

const SHIPPED_TRACE = new URL('../traces/debian12-minimal.json', import.meta.url).pathname;

export const USAGE = `usage: npm run bench -- storm [options]
       npm run bench -- storm --table [options], of which --help tells
  --policy P          ${POLICY_NAMES.join(', ')}, or all; repeatable, or with commas (bootswarm)
  --nodes N           compute nodes (100)
  --vms-per-node K    guests on each (1)
  --trace FILE        recorded boot (bench/traces/debian12-minimal.json), or synthetic:SEED[:MEGABYTES] (48)
  --think S           think times of the trace are multiplied by this (0.2)
  --boot SECONDS      instead of --think: so that a boot takes this long with everything at hand
  --arrival SECONDS   guests arrive evenly over this (1)
  --full-image BYTES  every node fetches an image of this size whole; no guests
  --mbit NIC          of each node, Mbit/s (1000)
  --origin-mbit NIC   of the origin and the tracker (1000)
  --latency MS        one way within a zone (0.2)
  --zones Z           nodes are spread over so many (1)
  --zone-mbit CAP     of payload, between each two zones (unlimited)
  --piece BYTES       piece length (65536)
  --learned yes|no    nodes have the boot order from an earlier storm (yes; with --real no)
  --known yes|no      agents are in the swarm before the first guest arrives (yes)
  --layer swarm|tracker  where agents that join get the piece layer (swarm)
  --fault F           KIND[:SHARE[@SECONDS[+SECONDS]]]: what, of how many nodes, when, for how long; repeatable
  --until SECONDS     virtual time after which guests that still boot are given up (86400)
  --seed S            (1)
  --json FILE         write the result there
  --svg FILE          draw there when each VM was ready and what the origin sent
  --real              a storm of real programs on this machine: tracker, origin, agents and players of the trace, each node
                      in a network namespace of its own with a NIC of --mbit; needs root

kinds of --fault, alone with their usual share, time and duration:
${Object.entries(FAULT_KINDS)
  .map(([kind, what]) => `  ${kind.padEnd(16)} ${what}`)
  .join('\n')}

  npm run bench -- storm --nodes 1000 --think 0 --known no
  npm run bench -- storm --nodes 200 --fault freeze:0.1@1+2 --fault slow
  npm run bench -- storm --real --nodes 16 --mbit 20 --origin-mbit 20
`;

/** Bytes per millisecond in a Mbit/s. */
const MBIT = 125;

export interface StormCommand {
  readonly policies: readonly PolicyName[];
  /** Of every policy. */
  readonly storm: StormOptions;
  /** Of the real storm that is to be played instead of a simulated one. */
  readonly real: RealStormOptions | undefined;
  readonly jsonPath: string | undefined;
  readonly svgPath: string | undefined;
  /** Of the picture. */
  readonly title: string;
  /** As given or by default, for the result's `options`. */
  readonly given: Readonly<Record<string, unknown>>;
}

/** Options that mean nothing to real programs on one machine. */
const ONLY_SIMULATED = [
  'policy',
  'full-image',
  'latency',
  'zones',
  'zone-mbit',
  'layer',
  'fault',
  'until',
  'svg',
] as const;

type Values = ReturnType<typeof parse>;

/** Undefined: the usage is asked for. Throws UsageError. */
export function parseStormFlags(args: readonly string[]): StormCommand | undefined {
  let values: Values;
  try {
    values = parse(args);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return undefined;
  const policies = policiesOf(values);
  const storm = stormOf(values);
  if (storm.faults!.length > 0 && !policies.every((each) => hasFaults(each))) {
    throw new UsageError('--fault is for the policies bootswarm and bittorrent');
  }
  if (storm.fullImageBytes !== undefined && policies.some((each) => isOnDemand(each))) {
    throw new UsageError('--full-image is not for central and tree: they move what guests read');
  }
  checkFaults(storm);
  checkPieces(storm);
  for (const flag of ['json', 'svg'] as const) {
    const path = values[flag];
    if (path !== undefined) checkWritable(flag, path);
  }
  return {
    policies,
    storm,
    real: values.real ? realOf(values, storm, args) : undefined,
    jsonPath: values.json,
    svgPath: values.svg,
    title: titleOf(storm),
    given: givenOf(values, storm),
  };
}

function parse(args: readonly string[]) {
  const text = (value: string) => ({ type: 'string', default: value }) as const;
  return parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', default: false },
      policy: { type: 'string', multiple: true, default: ['bootswarm'] },
      nodes: text('100'),
      'vms-per-node': text('1'),
      trace: text(SHIPPED_TRACE),
      think: text('0.2'),
      boot: { type: 'string' },
      arrival: text('1'),
      'full-image': { type: 'string' },
      mbit: text('1000'),
      'origin-mbit': text('1000'),
      latency: text('0.2'),
      zones: text('1'),
      'zone-mbit': { type: 'string' },
      piece: text('65536'),
      learned: { type: 'string' },
      known: text('yes'),
      layer: text('swarm'),
      fault: { type: 'string', multiple: true, default: [] },
      until: text('86400'),
      seed: text('1'),
      json: { type: 'string' },
      svg: { type: 'string' },
      real: { type: 'boolean', default: false },
    },
  }).values;
}

function stormOf(values: Values): StormOptions {
  const fullImage = values['full-image'];
  const trace = traceOf(values.trace);
  return {
    trace,
    fullImageBytes: fullImage === undefined ? undefined : wholeOf(values, 'full-image', 1),
    nodes: wholeOf(values, 'nodes', 1),
    vmsPerNode: wholeOf(values, 'vms-per-node', 1),
    thinkScale: values.boot === undefined ? numberOf(values, 'think', 0) : stretch(values, trace),
    arrivalMs: numberOf(values, 'arrival', 0) * 1_000,
    nic: numberOf(values, 'mbit', 1) * MBIT,
    originNic: numberOf(values, 'origin-mbit', 1) * MBIT,
    latencyMs: numberOf(values, 'latency', 0),
    zones: wholeOf(values, 'zones', 1),
    betweenZones:
      values['zone-mbit'] === undefined ? Infinity : numberOf(values, 'zone-mbit', 1) * MBIT,
    pieceLength: wholeOf(values, 'piece', 1),
    isLearned: yesOrNo('learned', learnedOf(values)),
    isKnownBefore: yesOrNo('known', values.known),
    layerFrom: layerFrom(values),
    faults: values.fault.map((each) => parseFault(each)),
    untilMs: numberOf(values, 'until', 0) * 1_000,
    seed: wholeOf(values, 'seed', 0),
  };
}

/** The same storm for real programs, which know less. */
function realOf(values: Values, storm: StormOptions, args: readonly string[]): RealStormOptions {
  const isBootswarm = values.policy.every((each) => each === 'bootswarm');
  const wrong = ONLY_SIMULATED.find((name) => {
    return isGiven(args, name) && !(name === 'policy' && isBootswarm);
  });
  if (wrong !== undefined) {
    const what = wrong === 'policy' ? `--policy ${values.policy.join(',')}` : `--${wrong}`;
    throw new UsageError(`${what} is for the simulator: leave it out with --real`);
  }
  if (storm.isLearned) {
    throw new UsageError('--learned yes is for the simulator: --real plays an image never seen');
  }
  const { nodes, vmsPerNode, thinkScale, arrivalMs, pieceLength, isKnownBefore, seed } = storm;
  return {
    ...{ nodes, vmsPerNode, thinkScale, arrivalMs, pieceLength, isKnownBefore, seed },
    trace: values.trace,
    mbit: storm.nic / MBIT,
    originMbit: storm.originNic / MBIT,
  };
}

function isGiven(args: readonly string[], name: string): boolean {
  return args.some((each) => each === `--${name}` || each.startsWith(`--${name}=`));
}

function learnedOf({ learned, real }: Values): string {
  return learned ?? (real ? 'no' : 'yes');
}

function givenOf(values: Values, { trace }: StormOptions): StormCommand['given'] {
  const { json, svg, help, real, ...options } = values;
  const given = { ...options, learned: learnedOf(values), trace: trace.name };
  if (!real) return given;
  const isOfBoth = ([name]: [string, unknown]) => !ONLY_SIMULATED.some((each) => each === name);
  return { real, ...Object.fromEntries(Object.entries(given).filter(isOfBoth)) };
}

/** What think times are multiplied by for a warm boot of --boot seconds. */
function stretch(values: Values, { reads }: BootTrace): number {
  const readMs = reads.length * MEASURED_COSTS.readMs;
  const thinkMs = reads.reduce((sum, read) => sum + read.thinkMs, 0);
  return Math.max(0, numberOf(values, 'boot', 0) * 1_000 - readMs) / thinkMs;
}

function titleOf({ nodes, vmsPerNode, trace, thinkScale, fullImageBytes }: StormOptions): string {
  const what =
    fullImageBytes === undefined
      ? `${vmsPerNode} VM each, ${trace.name}, think × ${Number(thinkScale.toPrecision(3))}`
      : `an image of ${(fullImageBytes / 1e9).toFixed(1)} GB each`;
  return `${nodes} nodes, ${what}`;
}

const SYNTHETIC = /^synthetic:(\d+)(?::(\d+))?$/;
/** As much as the shipped trace needs, in pieces of 64 KiB. */
const SYNTHETIC_MEGABYTES = 48;

/** Of a --trace. Throws UsageError. */
export function traceOf(path: string): BootTrace {
  const [isSynthetic, seed, megabytes] = SYNTHETIC.exec(path) ?? [];
  if (isSynthetic) {
    const bytes = Number(megabytes ?? SYNTHETIC_MEGABYTES) * 1e6;
    if (bytes === 0) throw new UsageError(`--trace ${path} reads nothing`);
    return parseBootTrace(syntheticTrace(Number(seed), bytes));
  }
  try {
    return parseBootTrace(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    const hint = error instanceof OperatorError ? `. ${error.hint}` : '';
    throw new UsageError(`--trace ${basename(path)}: ${messageOf(error)}${hint}`);
  }
}

function policiesOf({ policy }: Values): PolicyName[] {
  const names = policy.flatMap((each) => each.split(','));
  if (names.includes('all')) return [...POLICY_NAMES];
  return names.map((name) => {
    const known = POLICY_NAMES.find((each) => each === name);
    if (known !== undefined) return known;
    throw new UsageError(`--policy ${name} is none of ${POLICY_NAMES.join(', ')}, all`);
  });
}

function hasFaults(policy: PolicyName): boolean {
  return policy === 'bootswarm' || policy === 'bittorrent';
}

function isOnDemand(policy: PolicyName): boolean {
  return policy === 'central' || policy === 'tree';
}

const DECIMAL = String.raw`(\d+(?:\.\d*)?|\.\d+)`;
const FAULT = new RegExp(String.raw`^([a-z-]+)(?::${DECIMAL})?(?:@${DECIMAL}(?:\+${DECIMAL})?)?$`);

/** Throws UsageError unless some node's guests are to boot. */
function checkFaults({ faults = [], nodes }: StormOptions): void {
  const hit = (those: readonly Fault[]) =>
    those.reduce((sum, fault) => sum + nodesHitBy(fault, nodes), 0);
  if (hit(faults) > nodes) throw new UsageError(`--fault: they hit more than all ${nodes} nodes`);
  if (hit(faults.filter(isForGood)) === nodes) {
    throw new UsageError(`--fault: they leave no node of ${nodes} whose guests could boot`);
  }
}

function checkPieces({ pieceLength, fullImageBytes, trace }: StormOptions): void {
  if (!isPieceLength(pieceLength)) {
    throw new UsageError(`--piece ${pieceLength} is no power of two from 16 KiB to 16 MiB`);
  }
  const count = Math.ceil((fullImageBytes ?? trace.length) / pieceLength);
  if (count > PIECE_COUNT_MAX) {
    throw new UsageError(
      `the image has ${count} pieces: give a longer --piece than ${pieceLength}`,
    );
  }
}

/** KIND[:SHARE][@SECONDS[+SECONDS]] */
export function parseFault(text: string): Fault {
  const [, name, share, at, lasting] = FAULT.exec(text) ?? [];
  if (name === undefined || !Object.hasOwn(FAULT_KINDS, name)) {
    const kinds = Object.keys(FAULT_KINDS).join(', ');
    throw new UsageError(
      `--fault ${text} is not KIND[:SHARE[@SECONDS[+SECONDS]]]; kinds: ${kinds}`,
    );
  }
  const kind = name as FaultKind;
  if (share !== undefined && !(Number(share) <= 1 && hitsNodes(kind))) {
    throw new UsageError(`--fault ${text}: a share is from 0 to 1, of nodes`);
  }
  return faultOf(kind, {
    ...(share !== undefined && { share: Number(share) }),
    ...(at !== undefined && { atMs: Number(at) * 1_000 }),
    ...(lasting !== undefined && { forMs: Number(lasting) * 1_000 }),
  });
}

function numberOf(values: Values, name: keyof Values, min: number): number {
  const value = Number(values[name]);
  if (Number.isFinite(value) && value >= min) return value;
  throw new UsageError(`--${name} ${values[name]} is not a number from ${min} on`);
}

function wholeOf(values: Values, name: keyof Values, min: number): number {
  const value = numberOf(values, name, min);
  if (Number.isSafeInteger(value)) return value;
  throw new UsageError(`--${name} ${values[name]} is not a whole number`);
}

function yesOrNo(name: 'learned' | 'known', value: string): boolean {
  if (value === 'yes' || value === 'no') return value === 'yes';
  throw new UsageError(`--${name} is yes or no`);
}

function layerFrom({ layer }: Values): 'swarm' | 'tracker' {
  if (layer === 'swarm' || layer === 'tracker') return layer;
  throw new UsageError('--layer is swarm or tracker');
}
