/**
 * The command line of a benchmark: `--help` tells of every flag, and what cannot be meant, or written to in the end, is said
 * before anything is measured.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '@bootswarm/stdx';

/** What a flag takes, and its default. */
export interface BenchFlag<Value> {
  /** How --help calls the value; empty: it has none. */
  readonly value: string;
  readonly what: string;
  readonly byDefault: Value;
  /** Throws UsageError, without the name of the flag, when the text cannot be meant. */
  read(text: string): Value;
}

type Values<Flags> = {
  readonly [Name in keyof Flags]: Flags[Name] extends BenchFlag<infer Value> ? Value : never;
} & { readonly json: string | undefined };

/** Something on a command line that cannot be meant. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function whole(what: string, byDefault: number, min = 1): BenchFlag<number> {
  return { value: 'N', what, byDefault, read: (text) => numberFrom(text, min, true) };
}

export function decimal(what: string, byDefault: number, min = 0): BenchFlag<number> {
  return { value: 'N', what, byDefault, read: (text) => numberFrom(text, min, false) };
}

/** With commas. */
export function wholes(what: string, byDefault: readonly number[]): BenchFlag<readonly number[]> {
  const read = (text: string) => text.split(',').map((each) => numberFrom(each, 1, true));
  return { value: 'N,...', what, byDefault, read };
}

/** With commas, some of `known`. */
export function names<Name extends string>(
  what: string,
  byDefault: readonly Name[],
  known: readonly Name[],
): BenchFlag<readonly Name[]> {
  const read = (text: string) =>
    text.split(',').map((each) => {
      const name = known.find((one) => one === each);
      if (name !== undefined) return name;
      throw new UsageError(`${each} is none of ${known.join(', ')}`);
    });
  return { value: 'NAME,...', what, byDefault, read };
}

/** A flag without a value. */
export function given(what: string): BenchFlag<boolean> {
  return { value: '', what, byDefault: false, read: () => true };
}

/** An optional whole number whose default the benchmark itself knows. */
export function wholeIfGiven(what: string): BenchFlag<number | undefined> {
  return { value: 'N', what, byDefault: undefined, read: (text) => numberFrom(text, 1, true) };
}

/**
 * Of this process. `--json FILE` is taken by every benchmark. Ends the process where there is nothing to measure: with 0 after
 * --help, with 2 after what is wrong.
 */
export function benchFlags<Flags extends Readonly<Record<string, BenchFlag<unknown>>>>(
  bench: string,
  flags: Flags,
): Values<Flags> {
  try {
    const values = parseBenchFlags(flags, process.argv.slice(2));
    if (values !== undefined) return values;
    process.stdout.write(usageOf(bench, flags));
    return process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\nnpm run bench -- ${bench} --help tells of all flags\n`);
    return process.exit(2);
  }
}

/** Undefined: the usage is asked for. Throws UsageError. */
export function parseBenchFlags<Flags extends Readonly<Record<string, BenchFlag<unknown>>>>(
  flags: Flags,
  args: readonly string[],
): Values<Flags> | undefined {
  const options = Object.entries(flags).map(([name, { value }]) => {
    return [name, { type: value === '' ? 'boolean' : 'string' }] as const;
  });
  const texts = textsOf(args, Object.fromEntries(options));
  if (texts.help) return undefined;
  const { json } = texts;
  if (typeof json === 'string') checkWritable('json', json);
  const values = Object.entries(flags).map(([name, flag]) => {
    const text = texts[name];
    if (text === undefined) return [name, flag.byDefault] as const;
    try {
      return [name, flag.read(String(text))] as const;
    } catch (error) {
      throw new UsageError(`--${name} ${text}: ${messageOf(error)}`);
    }
  });
  return { json, ...Object.fromEntries(values) } as Values<Flags>;
}

/** Whether a file can be written at `path` in the end, which may be an hour away. Throws UsageError. */
export function checkWritable(flag: string, path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      throw new Error(`${path} is a directory`);
    }
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    throw new UsageError(`--${flag} ${path} cannot be written: ${messageOf(error)}`);
  }
}

export function usageOf(
  bench: string,
  flags: Readonly<Record<string, BenchFlag<unknown>>>,
): string {
  const rows = Object.entries(flags).map(([name, { value, what, byDefault }]) => {
    const isSaid = byDefault !== undefined && byDefault !== false;
    return [`--${name} ${value}`, isSaid ? `${what} (${byDefault})` : what];
  });
  rows.push(['--json FILE', 'write the result there']);
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const lines = rows.map(([flag, what]) => `  ${flag.padEnd(width)}  ${what}\n`);
  return `usage: npm run bench -- ${bench} [flags]\n${lines.join('')}`;
}

type Texts = Readonly<Record<string, string | boolean | undefined>>;

function textsOf(
  args: readonly string[],
  options: Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>,
): Texts {
  try {
    const own = { json: { type: 'string' }, help: { type: 'boolean' } } as const;
    return parseArgs({ args: [...args], options: { ...options, ...own } }).values as Texts;
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function numberFrom(text: string, min: number, isWhole: boolean): number {
  const value = Number(text);
  const isIt = isWhole ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (text.trim() !== '' && isIt && value >= min) return value;
  throw new UsageError(`give a ${isWhole ? 'whole number' : 'number'} from ${min} on`);
}
