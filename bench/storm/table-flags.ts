/** The command line of `storm --table`. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { UsageError } from '../bench-flags.ts';
import { TABLE, type TableRow } from './table.ts';

const RESULTS = new URL('../results', import.meta.url).pathname;

export const TABLE_USAGE = `usage: npm run bench -- storm --table [options]
  --rows NAME,...     only these: ${[...new Set(TABLE.map(({ name }) => name))].join(', ')}
  --seeds N           every storm with the seeds 1 to N; the table has their median (5)
  --nodes-scale F     of all numbers of nodes, for a quick look: figures are then not those of the table (1)
  --jobs N            storms at a time (one per core)
  --picture yes|no    draw every policy on 100 nodes (yes)
  --out DIRECTORY     storm-table.json, .md and .svg go there (bench/results)
`;

export interface TableCommand {
  readonly rows: readonly TableRow[];
  readonly seeds: number;
  readonly nodesScale: number;
  readonly jobs: number;
  readonly hasPicture: boolean;
  readonly out: string;
}

/** Undefined: the usage is asked for. Throws UsageError. */
export function parseTableFlags(args: readonly string[]): TableCommand | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const seeds = countOf('--seeds', values.seeds);
  const nodesScale = Number(values['nodes-scale']);
  if (!(nodesScale > 0 && nodesScale <= 1)) {
    throw new UsageError(`--nodes-scale ${values['nodes-scale']} is not above 0 and at most 1`);
  }
  if (values.picture !== 'yes' && values.picture !== 'no') {
    throw new UsageError('--picture is yes or no');
  }
  const names = values.rows?.split(',');
  const unknown = names?.find((name) => !TABLE.some((row) => row.name === name));
  if (unknown !== undefined) throw new UsageError(`--rows ${unknown}: there is no such row`);
  return {
    rows: names === undefined ? TABLE : TABLE.filter(({ name }) => names.includes(name)),
    seeds,
    nodesScale,
    jobs: countOf('--jobs', values.jobs),
    hasPicture: values.picture === 'yes',
    out: values.out,
  };
}

function countOf(flag: string, text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1) return count;
  throw new UsageError(`${flag} ${text} is not a whole number from 1 on`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        table: { type: 'boolean', default: true },
        help: { type: 'boolean', default: false },
        rows: { type: 'string' },
        seeds: { type: 'string', default: '5' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        'nodes-scale': { type: 'string', default: '1' },
        picture: { type: 'string', default: 'yes' },
        out: { type: 'string', default: RESULTS },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
