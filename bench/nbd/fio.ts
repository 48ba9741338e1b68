/** Runs fio's nbd engine, which is libnbd, against an export, and reads its JSON. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface Workload {
  readonly name: string;
  readonly rw: 'read' | 'randread';
  /** As fio writes it. */
  readonly blockSize: string;
  readonly depth: number;
}

export interface FioFigures {
  readonly iops: number;
  readonly bytesPerSecond: number;
  /** From a request to its reply, all connections together. */
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  readonly errors: number;
}

interface FioJob {
  readonly error: number;
  readonly read: {
    readonly iops: number;
    readonly bw_bytes: number;
    readonly clat_ns: {
      readonly max: number;
      readonly percentile: Readonly<Record<string, number>>;
    };
  };
}

/** `connections` jobs, each with a connection of its own, all over the first `lengthMib` of the export. */
export async function runFio(
  uri: string,
  { rw, blockSize, depth }: Workload,
  options: { readonly connections: number; readonly seconds: number; readonly lengthMib: number },
): Promise<FioFigures> {
  const { connections, seconds, lengthMib } = options;
  const stdout = await fio([
    ...['--name=read', '--ioengine=nbd', `--uri=${uri}`, `--rw=${rw}`, `--bs=${blockSize}`],
    ...[`--iodepth=${depth}`, `--numjobs=${connections}`, '--thread', '--group_reporting'],
    ...['--time_based', `--runtime=${seconds}`, `--size=${lengthMib}M`, '--output-format=json'],
    ...['--randseed=1', '--percentile_list=50:99:99.9'],
  ]);
  // Notes of the engine come before the JSON.
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: [FioJob] };
  const { error, read } = jobs[0];
  const { percentile, max } = read.clat_ns;
  return {
    iops: read.iops,
    bytesPerSecond: read.bw_bytes,
    p99Ms: percentile['99.000000'] / 1e6,
    p999Ms: percentile['99.900000'] / 1e6,
    maxMs: max / 1e6,
    errors: error,
  };
}

/** Rejects with what it said of why it failed. */
async function fio(args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)('fio', args, { maxBuffer: 16 * 1024 * 1024 })).stdout;
  } catch (error) {
    throw new Error(`fio failed: ${(error as { stderr?: string }).stderr ?? error}`);
  }
}
