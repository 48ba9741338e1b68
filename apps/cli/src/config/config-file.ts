/**
 * Reads a daemon's configuration file (YAML) and gives its values to the options that the command line left open. What is wrong
 * is told with file and line, and what was probably meant.
 */
import { readFileSync } from 'node:fs';
import { messageOf } from '@bootswarm/stdx';
import type { Command } from 'commander';
import { type Document, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { OptionsError } from '../failure.ts';
import { type ConfigField, configFields, configSchema } from './config-schema.ts';

/** Some thirty fields of a line or two. */
const FILE_BYTES_MAX = 256 * 1024;

export function withConfigOptions(command: Command): Command {
  return command
    .option('--config <file>', 'settings, as YAML: docs/configuration.md; flags override them')
    .option('--check', 'say whether the settings are right, and end', false);
}

/** Fills in what the command line does not say. Throws OptionsError `config-…`. */
export function applyConfig(command: Command): void {
  const { config: path } = command.opts<{ config?: string }>();
  if (path === undefined) return;
  const fields = configFields(command);
  const values = readConfig(path, fields);
  for (const { name, option } of fields) {
    const attribute = option.attributeName();
    if (values[name] === undefined) continue;
    if (command.getOptionValueSource(attribute) === 'cli') continue;
    command.setOptionValueWithSource(attribute, values[name], 'config');
  }
}

/** By the names of the file. */
export function readConfig(path: string, fields: readonly ConfigField[]): Record<string, unknown> {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), {
    lineCounter: lines,
    // Aliases are of no use here, and a few of them make a gigabyte.
    maxAliasCount: 0,
  } as Parameters<typeof parseDocument>[1]);
  const [error] = document.errors;
  if (error !== undefined) {
    const { line } = lines.linePos(error.pos[0]);
    // The line is told before it, and the rest is a picture of it.
    const what = error.message.split('\n')[0].replace(/ at line \d+, column \d+:?$/, '');
    throw refused(path, line, what, 'Write one `field: value` per line.');
  }
  if (document.contents === null) return {};
  if (!isMap(document.contents)) {
    throw refused(path, 1, 'this is no list of fields', 'Write one `field: value` per line.');
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw refused(path, 1, messageOf(cause), 'Write values out: aliases are not taken.');
  }
  const result = configSchema(fields).safeParse({
    ...(value as object),
    ...writtenNumbers(document),
  });
  if (result.success) return result.data;
  throw issueOf(path, result.error.issues[0], document, lines, fields);
}

/** Of a rack called 3.10 the number is 3.1: what was written is meant, and the fields' own parsers know sizes and counts. */
function writtenNumbers({ contents }: Document): Record<string, string> {
  const pairs = isMap(contents) ? contents.items : [];
  const numbers = pairs.flatMap(({ key, value }) =>
    isScalar(key) && isScalar(value) && typeof value.value === 'number' && value.source
      ? [[String(key.value), value.source]]
      : [],
  );
  return Object.fromEntries(numbers);
}

function readText(path: string): string {
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length <= FILE_BYTES_MAX) return text;
  } catch (error) {
    throw new OptionsError(
      'config-unreadable',
      `cannot read the settings in ${path}: ${messageOf(error)}`,
      'give a file that this user may read with --config FILE',
      { cause: error },
    );
  }
  throw new OptionsError(
    'config-too-long',
    `${path} is longer than ${FILE_BYTES_MAX} bytes`,
    'see that it is the configuration file',
  );
}

function issueOf(
  path: string,
  issue: z.core.$ZodIssue,
  document: Document,
  lines: LineCounter,
  fields: readonly ConfigField[],
): OptionsError {
  if (issue.code === 'unrecognized_keys') {
    const [key] = issue.keys;
    const near = nearest(
      key,
      fields.map(({ name }) => name),
    );
    const hint = near ? `Did you mean ${near}?` : 'docs/configuration.md lists the fields.';
    return refused(path, lineOf(document, lines, key), `there is no field ${key}`, hint);
  }
  const name = String(issue.path[0]);
  const field = fields.find((each) => each.name === name);
  return refused(
    path,
    lineOf(document, lines, name),
    `${name}: ${issue.message}`,
    field ? `It is: ${field.description}.` : 'docs/configuration.md lists the fields.',
  );
}

function lineOf({ contents }: Document, lines: LineCounter, key: string): number {
  if (!isMap(contents)) return 1;
  const pair = contents.items.find((each) => isScalar(each.key) && String(each.key.value) === key);
  const start = isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
  return start === undefined ? 1 : lines.linePos(start).line;
}

function refused(path: string, line: number, what: string, hint: string): OptionsError {
  return new OptionsError('config-invalid', `${path}:${line}: ${what}`, hint);
}

/** The name that is fewest changes away, if they are few. */
function nearest(word: string, names: readonly string[]): string | undefined {
  const ranked = names.map((name) => ({ name, changes: changesBetween(word, name) }));
  const best = ranked.toSorted((a, b) => a.changes - b.changes)[0];
  return best && best.changes <= Math.max(2, word.length / 3) ? best.name : undefined;
}

/** Levenshtein's distance. */
function changesBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const isSame = from[i - 1].toLowerCase() === to[j - 1].toLowerCase();
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (isSame ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length];
}
