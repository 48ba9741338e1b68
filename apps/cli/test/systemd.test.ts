import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LEAN_NODE_ENV, LEAN_NODE_FLAGS } from '@bootswarm/stdx';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { buildProgram, runCli } from '../src/cli.ts';
import { readConfig } from '../src/config/config-file.ts';
import { configFields } from '../src/config/config-schema.ts';
import { capturedTerminal } from './captured-terminal.ts';

const DIRECTORY = fileURLToPath(new URL('../systemd', import.meta.url));
const UNITS = readdirSync(DIRECTORY).filter((name) => /\.(service|socket)$/.test(name));
const SERVICES = UNITS.filter((name) => name.endsWith('.service'));

/** systemd-analyze calls below 2 OK, and gives 9.6 to a unit without any of it. */
const EXPOSURE_MAX = 2;

/** By name; a setting that is given twice has both values. */
function settingsOf(unit: string): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  for (const line of readFileSync(join(DIRECTORY, unit), 'utf8').split('\n')) {
    if (/^(#|\[|$)/.test(line)) continue;
    const [, name, value] = /^([A-Z]\w*)=(.*)$/.exec(line)!;
    settings.set(name, [...(settings.get(name) ?? []), value]);
  }
  return settings;
}

/** The command line of a service, after `bootswarm`. */
function commandOf(unit: string): string[] {
  const [command] = settingsOf(unit).get('ExecStart')!;
  const [env, bootswarm, ...args] = command.split(' ');
  expect([env, bootswarm]).toEqual(['/usr/bin/env', 'bootswarm']);
  return args;
}

test.each(SERVICES)('%s runs a command that there is', (unit) => {
  const program = buildProgram({ terminal: capturedTerminal(), args: [], exitCode: 0 });
  const [name, ...args] = commandOf(unit);
  const command = program.commands.find((each) => each.name() === name) as Command;
  // What the administrator adds comes last.
  expect(args.at(-1)).toMatch(/^\$BOOTSWARM_[A-Z]+_OPTIONS$/);
  const flags = args.filter((arg) => arg.startsWith('--'));
  for (const flag of flags) expect(command.options.map(({ long }) => long)).toContain(flag);
});

test.each(['agent', 'tracker'])(
  'the %s reads settings that are right, also uncommented',
  (name) => {
    const args = commandOf(`bootswarm-${name}.service`);
    expect(args[args.indexOf('--config') + 1]).toBe(`/etc/bootswarm/${name}.yaml`);
    const program = buildProgram({ terminal: capturedTerminal(), args: [], exitCode: 0 });
    const command = program.commands.find((each) => each.name() === name) as Command;
    const path = join(DIRECTORY, `${name}.yaml`);
    expect(readConfig(path, configFields(command))).toEqual({});
    const directory = mkdtempSync(join(tmpdir(), 'settings-'));
    const uncommented = join(directory, `${name}.yaml`);
    writeFileSync(uncommented, readFileSync(path, 'utf8').replaceAll(/^#(?=[a-z])/gm, ''));
    expect(Object.keys(readConfig(uncommented, configFields(command)))).not.toEqual([]);
    rmSync(directory, { recursive: true });
  },
);

test('the socket of the agent is where overlays look for it', () => {
  const args = commandOf('bootswarm-agent.service');
  const socket = settingsOf('bootswarm-agent.socket');
  expect(socket.get('ListenStream')).toEqual([`${args[args.indexOf('--run') + 1]}/nbd.sock`]);
  expect(socket.get('FileDescriptorName')).toEqual(['nbd']);
  // It outlives the agent, and so must the directory.
  expect(settingsOf('bootswarm-agent.service').get('RuntimeDirectoryPreserve')).toEqual(['yes']);
});

test('the agent runs on a lean Node', () => {
  const environment = settingsOf('bootswarm-agent.service').get('Environment')!.join(' ');
  const variables = Object.entries(LEAN_NODE_ENV).map(([name, value]) => `${name}=${value}`);
  for (const setting of [`NODE_OPTIONS=${LEAN_NODE_FLAGS.join(' ')}`, ...variables]) {
    expect(environment).toContain(setting);
  }
});

test('an agent is started again however it ended, for as often as it takes', () => {
  const agent = settingsOf('bootswarm-agent.service');
  expect(agent.get('Restart')).toEqual(['always']);
  expect(agent.get('StartLimitIntervalSec')).toEqual(['0']);
});

test('an agent that cannot start is tried again later, and one that has crashed at once', async () => {
  const agent = settingsOf('bootswarm-agent.service');
  expect(agent.get('RestartSec')).toEqual(['100ms']);
  const terminal = capturedTerminal();
  const directory = mkdtempSync(join(tmpdir(), 'cannot-start-'));
  // Its socket's path is too long for the kernel.
  const run = join(directory, 'x'.repeat(100));
  const notStarted = await runCli(
    ['agent', '--holder', 'no', '--watchdog-seconds', '0', '--log-level', 'silent'].concat(
      '--run',
      run,
      '--cache',
      join(directory, 'cache'),
      '--listen',
      '127.0.0.1:0',
    ),
    terminal,
  );
  rmSync(directory, { recursive: true });
  const misunderstood = await runCli(['agent', '--no-such-flag'], terminal);
  expect(agent.get('RestartPreventExitStatus')).toEqual([String(misunderstood)]);

  const [, script] = /^\/bin\/sh -c '(.*)'$/.exec(agent.get('ExecStopPost')![0])!;
  const waitsAfter = (status: string) => {
    // systemd.service(5): $$ is a dollar of the shell's.
    const shown = script.replaceAll('$$', '$').replace('exec sleep', 'echo');
    const { stdout } = spawnSync('sh', ['-c', shown], {
      encoding: 'utf8',
      env: { ...process.env, EXIT_STATUS: status },
    });
    return stdout.trim();
  };
  expect(waitsAfter(String(notStarted))).toBe('5');
  for (const ended of ['0', '1', 'KILL', 'ABRT']) expect(waitsAfter(ended)).toBe('');
});

describe.each(SERVICES)('%s', (unit) => {
  test.each([
    ['NoNewPrivileges', 'yes'],
    ['ProtectSystem', 'strict'],
    ['PrivateTmp', 'yes'],
    ['PrivateDevices', 'yes'],
    ['RestrictAddressFamilies', 'AF_UNIX AF_INET AF_INET6'],
    ['CapabilityBoundingSet', ''],
  ])('has %s=%s', (name, value) => {
    expect(settingsOf(unit).get(name)).toEqual([value]);
  });

  test('has a user, limits, and system calls that it may make', () => {
    const settings = settingsOf(unit);
    expect(settings.get('User')).toEqual(['bootswarm']);
    expect(settings.get('SystemCallFilter')).toEqual(['@system-service', '~@privileged']);
    for (const name of ['MemoryMax', 'TasksMax', 'LimitNOFILE', 'StateDirectory']) {
      expect(settings.get(name), name).toHaveLength(1);
    }
  });
});

/** Undefined where systemd is not installed; the tests above read the units themselves. */
function systemdAnalyze(...args: string[]): string | undefined {
  const { error, status, stdout, stderr } = spawnSync('systemd-analyze', args, {
    cwd: DIRECTORY,
    encoding: 'utf8',
  });
  if (error !== undefined) return undefined;
  expect({ status, stderr }).toMatchObject({
    status: 0,
    stderr: expect.not.stringMatching(/unknown|invalid|failed to parse/i),
  });
  return stdout;
}

test('systemd, where it is installed, understands every line and finds little exposed', () => {
  systemdAnalyze('verify', '--man=no', ...UNITS.map((unit) => `./${unit}`));
  for (const unit of SERVICES) {
    const report = systemdAnalyze('security', '--offline=yes', '--no-pager', unit);
    if (report === undefined) return;
    const exposure = /exposure level for \S+: ([\d.]+)/.exec(report)?.[1];
    expect(Number(exposure)).toBeLessThan(EXPOSURE_MAX);
  }
});

test('the drop-in for FUSE gives the agent what mounting takes, and no mount namespace that would hide the mount', () => {
  const unit = settingsOf('bootswarm-agent.service');
  const dropIn = settingsOf('bootswarm-agent-fuse.conf');
  const seen = new Map([...unit, ...dropIn]);
  // systemd.exec(5): whatever of these is on gives the unit a mount namespace, from which no mount gets out.
  const makesNamespace =
    /^(Protect(?!Proc)\w+|Private\w+|(ReadOnly|ReadWrite|Inaccessible)Paths|(Bind|TemporaryFile)\w+)$/;
  const on = [...seen].filter(
    ([name, values]) => makesNamespace.test(name) && values.at(-1) !== 'no',
  );
  expect(on).toEqual([]);
  expect(seen.get('ProtectProc')).toEqual(['default']);
  expect(seen.get('User')).toEqual(['root']);
  expect(seen.get('CapabilityBoundingSet')!.at(-1)).toContain('CAP_SYS_ADMIN');
  // The first value takes back what the unit says, which refuses mount(2).
  expect(seen.get('SystemCallFilter')).toEqual(['', '@system-service @mount']);
});
