import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildProgram, runCli } from '../src/cli.ts';
import { configTable } from '../src/config/config-document.ts';
import { applyConfig, readConfig } from '../src/config/config-file.ts';
import { configFields } from '../src/config/config-schema.ts';
import { OptionsError } from '../src/failure.ts';
import { capturedTerminal } from './captured-terminal.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'config-'));
  path = join(directory, 'agent.yaml');
});

afterEach(() => rmSync(directory, { recursive: true }));

function daemon(name: 'agent' | 'tracker'): Command {
  const program = buildProgram({ terminal: capturedTerminal(), args: [], exitCode: 0 });
  return program.commands.find((each) => each.name() === name) as Command;
}

const fieldsOf = (name: 'agent' | 'tracker') => configFields(daemon(name));

function read(text: string, name: 'agent' | 'tracker' = 'agent'): Record<string, unknown> {
  writeFileSync(path, text);
  return readConfig(path, fieldsOf(name));
}

function refusal(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (error instanceof OptionsError) return `${error.message} → ${error.hint}`;
    throw error;
  }
  return 'accepted';
}

describe.each(['agent', 'tracker'] as const)('of the %s', (name) => {
  test('every flag has its field, and every field its flag', () => {
    const flags = daemon(name).options.map(({ long }) => long?.slice(2));
    const fields = fieldsOf(name).map((field) => field.name);
    expect([...fields, 'config', 'check'].sort()).toEqual(flags.toSorted());
    expect(fields.length).toBeGreaterThan(4);
  });

  test('the document has every field as it is', () => {
    const document = readFileSync(
      join(import.meta.dirname, '../../../docs/configuration.md'),
      'utf8',
    );
    expect(document).toContain(`## The ${name}\n\n${configTable(daemon(name))}\n`);
  });
});

test('takes values as the flags do', () => {
  const text = `
    cache-max: 200G
    hot: 1048576
    listen: 10.0.0.1:7422
    pivot: no
    prejoin: true
    foreign-peers: true
    fill: always
    node: web-1
    watchdog-seconds: 0
  `;
  expect(read(text)).toEqual({
    ...{ 'cache-max': 200 * 2 ** 30, hot: 2 ** 20, listen: { host: '10.0.0.1', port: 7_422 } },
    ...{ pivot: 'no', prejoin: 'yes', 'foreign-peers': true, fill: 'always', node: 'web-1' },
    'watchdog-seconds': 0,
  });
  expect(read('')).toEqual({});
  expect(read('# nothing\n')).toEqual({});
});

test('takes a name of digits as it is written', () => {
  expect(read('rack: 3.10\nzone: 007\nnode: 1e3\nhot: 1048576')).toEqual({
    ...{ rack: '3.10', zone: '007', node: '1e3', hot: 2 ** 20 },
  });
});

test('flags go before the file, the file before what is the default', () => {
  writeFileSync(path, 'zone: z-file\nrack: r-file\nhot: 1M\n');
  const command = daemon('agent').action(() => {});
  command.parse(['--config', path, '--zone', 'z-flag', '--hot', '2M'], { from: 'user' });
  applyConfig(command);
  expect(command.opts()).toMatchObject({ zone: 'z-flag', rack: 'r-file', hot: 2 ** 21 });
  expect(command.opts().fill).toBe('idle');
});

test.each([
  ['zone: a\ncache_max: 1G\n', ':2: there is no field cache_max → Did you mean cache-max?'],
  ['Zone: a', ':1: there is no field Zone → Did you mean zone?'],
  ['colour: red', ':1: there is no field colour → docs/configuration.md lists the fields.'],
  ['\n\nhot: lots', ':3: hot: Write it as 256MiB or 2G. → It is: pieces kept in memory.'],
  ['fill: sometimes', ':1: fill: Write idle or always or never.'],
  ['foreign-peers: maybe', ':1: foreign-peers: Write true or false.'],
  ['pivot: 7', ':1: pivot: Write yes or no.'],
  ['node: [a]', ':1: node: Write a name.'],
  ['node: ""', ':1: node: Write a name. → It is: this node.'],
  ['zone: a\nzone: b', ':2: Map keys must be unique → '],
  ['rack: a\ntracker: 10.0.0.5:7420', ':2: tracker: Write it as http://10.0.0.5:7420.'],
  ['tracker: http://', ':1: tracker: Write it as http://127.0.0.1:7420.'],
  ['zone: a\n  rack: b', ':1: Nested mappings are not allowed in compact mappings → '],
  ['zone: "a', ':1: Missing closing "quote'],
  ['- zone', ':1: this is no list of fields'],
  ['zone: &a x\nrack: *a', ':1: '],
])('refuses %j', (text, told) => {
  expect(refusal(text)).toContain(`agent.yaml${told}`);
});

test('refuses or takes any text, and throws nothing else', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 80 }), (text) => {
      refusal(text);
      refusal(`zone: ${text}`);
    }),
    { numRuns: 300 },
  );
});

test('--check says whether all is right, with the exit code that keeps systemd from trying again', async () => {
  const check = async (text: string, ...args: string[]) => {
    writeFileSync(path, text);
    const terminal = capturedTerminal();
    const code = await runCli(['agent', '--config', path, '--check', ...args], terminal);
    return { code, told: terminal.out + terminal.err };
  };
  expect(await check('zone: a')).toEqual({
    code: 0,
    told: 'the settings of the agent are right\n',
  });
  expect(await check('zon: a')).toMatchObject({
    code: 2,
    told: expect.stringContaining('Did you mean zone'),
  });
  // What goes together is checked as well.
  expect(await check('evict-running: true')).toMatchObject({
    code: 2,
    told: expect.stringContaining('--cache-max'),
  });
  expect((await check('evict-running: true', '--cache-max', '1G')).code).toBe(0);
  expect((await check('nbd-tls-key: /k')).code).toBe(2);
  rmSync(path);
  const terminal = capturedTerminal();
  expect(await runCli(['tracker', '--config', path, '--check'], terminal)).toBe(2);
  expect(terminal.err).toContain('cannot read the settings');
  const other = capturedTerminal();
  expect(await runCli(['tracker', '--config', directory, '--check'], other)).toBe(2);
  expect(other.err).toContain(`cannot read the settings in ${directory}: EISDIR`);
});

test.each([
  ['tracker', 'listen: 10.0.0.5:7420\norigin-listen: 10.0.0.5:7420', '--listen', '--origin-listen'],
  // Beside what is so without a word.
  ['tracker', 'origin-listen: 10.0.0.5:7420', '--listen', '--origin-listen'],
  ['tracker', "listen: '[::]:7421'", '--listen', '--origin-listen'],
  ['agent', 'listen: 0.0.0.0:7422\nmetrics: 127.0.0.1:7422', '--listen', '--metrics'],
])('--check refuses that the %s listens twice on one port: %s', async (name, text, ...flags) => {
  writeFileSync(path, text);
  const terminal = capturedTerminal();
  expect(await runCli([name, '--config', path, '--check'], terminal)).toBe(2);
  for (const flag of flags) expect(terminal.err).toContain(`${flag} `);
});

test.each([
  ['tracker', 'listen: 10.0.0.5:7420\norigin-listen: 10.0.0.6:7420'],
  ['tracker', "listen: 0.0.0.0:7420\norigin-listen: '[::1]:7420'"],
  ['tracker', 'listen: 127.0.0.1:0\norigin-listen: 127.0.0.1:0'],
])('--check takes the %s for right that listens on several ports: %s', async (name, text) => {
  writeFileSync(path, text);
  expect(await runCli([name, '--config', path, '--check'], capturedTerminal())).toBe(0);
});

test('--check refuses what the start would refuse of nova.conf', async () => {
  const conf = join(directory, 'nova.conf');
  const check = async (text: string) => {
    writeFileSync(conf, text);
    const terminal = capturedTerminal();
    const nova = ['--fuse', '/fuse', '--nova-instances', '/instances', '--nova-conf', conf];
    const code = await runCli(['agent', '--check', ...nova], terminal);
    return { code, told: terminal.out + terminal.err };
  };
  expect(await check('[libvirt]\nimages_type = raw\n')).toEqual({
    code: 1,
    told: expect.stringMatching(/^bootswarm: Nova is set to copy base images.*\n {2}→ Set images_/),
  });
  expect(await check('[libvirt]\nimages_type = rbd\n')).toMatchObject({ code: 1 });
  expect(await check('[libvirt]\nimages_type = qcow2\n')).toMatchObject({ code: 0 });
});
