/**
 * The figures that bootswarm is to reach, as data: for each the storm it is of, as its command line, how it is read from the
 * result, the target, and who holds the mark. The table, and its main rows again on boots that nobody recorded.
 */
import type { MeasuredStorm } from './storm-report.ts';

/** The storm, and the one without a fault that it is compared with. */
export type Figure = (storm: MeasuredStorm, calm: MeasuredStorm) => number;

export interface TableRow {
  /** For --rows: rows of the same storm share it. */
  readonly name: string;
  readonly scenario: string;
  readonly flags: string;
  /** Of the storm it is compared with; the same storm when not given. */
  readonly calmFlags?: string;
  readonly figure: string;
  readonly measure: Figure;
  readonly unit: 's' | 'ms' | '×' | 'VMs' | 'MiB';
  /** The value is not to be above it. */
  readonly target: number;
  readonly mark: string;
}

const THOUSAND = '--nodes 1000';
const OVER_FLUID: Figure = (storm) => storm.lastVmSeconds / storm.fluidLimitSeconds;
const ORIGIN: Figure = (storm) => storm.originRatio;
const WAITING: Figure = (storm) => storm.guestsWaiting;

interface FigureOfRow {
  readonly figure: string;
  readonly measure: Figure;
  readonly unit: TableRow['unit'];
  readonly target: number;
  readonly mark: string;
}

function rows(
  name: string,
  scenario: string,
  flags: string,
  figures: readonly FigureOfRow[],
  calmFlags?: string,
): TableRow[] {
  return figures.map((figure) => ({ name, scenario, flags, calmFlags, ...figure }));
}

function coldWarm(target: number, mark: string): FigureOfRow {
  const measure: Figure = (storm) => storm.coldWarmRatio;
  return { figure: 'last VM cold ÷ warm', measure, unit: '×', target, mark };
}

const STALLS: readonly FigureOfRow[] = [
  {
    figure: 'guest read stalls, p99',
    measure: (storm) => storm.readStallMsP99,
    unit: 'ms',
    target: 20,
    mark: 'nobody publishes it',
  },
  {
    figure: 'guest read stalls, p99.9',
    measure: (storm) => storm.readStallMsP999,
    unit: 'ms',
    target: 100,
    mark: 'nobody publishes it',
  },
];

const UNUSED: FigureOfRow = {
  figure: 'prefetched and not used ÷ used',
  measure: (storm) => storm.prefetchedUnusedRatio,
  unit: '×',
  target: 1.5,
  mark: 'BuildBuddy 4.5',
};

/** Those of the table that a boot trace can change. */
function traceRows(trace?: string): TableRow[] {
  const flags = trace === undefined ? THOUSAND : `${THOUSAND} --trace ${trace}`;
  const suffix = trace === undefined ? '' : `-${trace.replace(':', '-')}`;
  const on = trace === undefined ? '' : ` (trace ${trace})`;
  return [
    ...rows(`cold${suffix}`, `1,000 nodes, think 0.2${on}`, flags, [
      coldWarm(1.03, 'DADI 1.03 on 1,000 hosts, with a recorded trace'),
      ...STALLS,
      UNUSED,
    ]),
    ...rows(`unseen${suffix}`, `the same, image never seen${on}`, `${flags} --learned no`, [
      coldWarm(1.2, 'DADI 1.03, with a recorded trace'),
      UNUSED,
    ]),
    ...rows(`pure-known${suffix}`, `think 0, agents known before${on}`, `${flags} --think 0`, [
      {
        figure: 'last VM ÷ fluid limit',
        measure: OVER_FLUID,
        unit: '×',
        target: 1.15,
        mark: 'the limit itself',
      },
    ]),
    ...rows(
      `pure-at-once${suffix}`,
      `the same, all VMs at one moment${on}`,
      `${flags} --think 0 --arrival 0`,
      [
        {
          figure: 'last VM ÷ fluid limit',
          measure: OVER_FLUID,
          unit: '×',
          target: 1.15,
          mark: 'the limit itself (sketch: 1.07)',
        },
      ],
    ),
    ...rows(
      `pure-joining${suffix}`,
      `think 0, agents join within the second${on}`,
      `${flags} --think 0 --known no`,
      [
        {
          figure: 'last VM ÷ fluid limit',
          measure: OVER_FLUID,
          unit: '×',
          target: 1.5,
          mark: 'the limit itself',
        },
      ],
    ),
  ];
}

/** Row, --fault, scenario. */
const FAULTS = [
  ['dead', 'dead', '10 % of nodes dead from the start'],
  ['crash', 'crash', '10 % crash mid-storm'],
  ['freeze', 'freeze', '10 % freeze'],
  ['slow', 'slow', '30 % have 1 % of the uplink'],
  ['slow-suddenly', 'slow:0.3@0', '30 % fall to it as the first VM arrives'],
  ['tracker-dead', 'tracker-dead', 'tracker dead after all have joined'],
] as const;

function faultRows(): TableRow[] {
  return FAULTS.flatMap(([name, fault, scenario]) =>
    rows(
      name,
      scenario,
      `${THOUSAND} --until 600 --fault ${fault}`,
      [
        {
          figure: 'last VM of the healthy nodes ÷ without the fault',
          measure: (storm, calm) => storm.healthy.lastVmSeconds / calm.lastVmSeconds,
          unit: '×',
          target: 1.2,
          mark: 'nobody publishes it',
        },
        {
          figure: 'origin bytes ÷ without the fault',
          measure: (storm, calm) => storm.originBytes / calm.originBytes,
          unit: '×',
          target: 1.2,
          mark: 'nobody publishes it',
        },
        {
          figure: 'VMs on live nodes whose reads are not all answered',
          measure: WAITING,
          unit: 'VMs',
          target: 0,
          mark: 'nobody publishes it',
        },
      ],
      THOUSAND,
    ),
  );
}

function originRows(): TableRow[] {
  return [10, 100, 1_000, 5_000].flatMap((nodes) =>
    rows(`origin-${nodes}`, `${nodes.toLocaleString('en')} nodes, think 0.2`, `--nodes ${nodes}`, [
      {
        figure: 'origin bytes ÷ bytes needed',
        measure: ORIGIN,
        unit: '×',
        target: 1.05,
        mark: `central: ${nodes.toLocaleString('en')}`,
      },
    ]),
  );
}

const KRAKEN =
  '--nodes 2600 --full-image 3000000000 --piece 1048576 --mbit 2400 --origin-mbit 2400';

export const TABLE: readonly TableRow[] = [
  ...traceRows(),
  ...rows('ten-vms', '1,000 nodes, 10 VMs each, think 0.2', `${THOUSAND} --vms-per-node 10`, [
    coldWarm(1.05, 'DADI, 10,000 containers'),
  ]),
  ...rows('vmthunder', '160 nodes, boot stretched to 16 s', '--nodes 160 --boot 16', [
    {
      figure: 'last VM',
      measure: (storm) => storm.lastVmSeconds,
      unit: 's',
      target: 17,
      mark: 'VMThunder 18 s',
    },
    {
      figure: 'a VM, mean',
      measure: (storm) => storm.meanVmSeconds,
      unit: 's',
      target: 16.5,
      mark: 'VMThunder 16 s',
    },
  ]),
  ...rows('promise', '500 VMs, 300 MB each', '--nodes 500 --trace synthetic:1:300', [
    {
      figure: 'last VM − warm',
      measure: (storm) => storm.lastVmSeconds - storm.warmLastVmSeconds,
      unit: 's',
      target: 3,
      mark: 'the promise of 2014: 500 VMs in a minute',
    },
  ]),
  ...rows('kraken', '3 GB to 2,600 nodes, pieces of 1 MiB, 300 MB/s NICs', KRAKEN, [
    {
      figure: 'a node, p99',
      measure: (storm) => storm.p99VmSeconds,
      unit: 's',
      target: 12,
      mark: 'Kraken 18 s',
    },
    {
      figure: 'a node, p99.9',
      measure: (storm) => storm.p999VmSeconds,
      unit: 's',
      target: 13,
      mark: 'Kraken 22 s',
    },
  ]),
  ...originRows(),
  ...faultRows(),
  ...rows(
    'poisoner',
    '10 % poisoners; the checkers judge every piece and ban',
    `${THOUSAND} --until 600 --fault poisoner`,
    [
      {
        figure: 'VMs on live nodes whose reads are not all answered',
        measure: WAITING,
        unit: 'VMs',
        target: 0,
        mark: 'Kraken, 30 s blacklist',
      },
    ],
  ),
  ...rows(
    'zones',
    'three zones, 100 Mbit/s between them',
    `${THOUSAND} --zones 3 --zone-mbit 100`,
    [
      {
        figure: 'bytes into one zone ÷ bytes needed',
        measure: (storm) => storm.zoneBytesMax / storm.neededBytes,
        unit: '×',
        target: 1.2,
        mark: '',
      },
    ],
  ),
  ...rows('simulator', 'simulator, 1,000 nodes, think 0.2', THOUSAND, [
    {
      figure: 'time of one storm',
      measure: (storm) => storm.wallSeconds,
      unit: 's',
      target: 60,
      mark: 'FoundationDB, 10 : 1',
    },
    {
      figure: 'memory of one storm',
      measure: (storm) => storm.rssMib,
      unit: 'MiB',
      target: 4_096,
      mark: '',
    },
  ]),
  ...traceRows('synthetic:1'),
  ...traceRows('synthetic:2'),
];

/** Beside the table, in one picture: every policy on as many nodes as the slowest of them can be simulated with. */
export const PICTURE_FLAGS = '--nodes 100 --policy all';
