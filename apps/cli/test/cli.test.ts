import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { buildProgram, runCli } from '../src/cli.ts';
import { capturedTerminal } from './captured-terminal.ts';

function commandLines(command: Command, names: string[] = []): string[][] {
  const below = command.commands.flatMap((sub) => commandLines(sub, [...names, sub.name()]));
  return [names, ...below];
}

const ALL = commandLines(buildProgram({ terminal: capturedTerminal(), args: [], exitCode: 0 }));

test('has the commands that operators need', () => {
  expect(ALL.map((names) => names.join(' '))).toEqual([
    ...[
      '',
      'tracker',
      'agent',
      'agent upgrade',
      'publish',
      'withdraw',
      'images',
      'images show',
      'images evict',
      'nodes',
      'attach',
    ],
    ...[
      'detach',
      'vm',
      'vm create',
      'vm ls',
      'vm pivot',
      'vm rebase',
      'vm flatten',
      'vm migrate',
      'vm migrate-args',
      'vm rm',
      'status',
      'watch',
      ...['copy', 'prefetch', 'prefetch list', 'prefetch show', 'prefetch cancel'],
      'demo',
    ],
  ]);
});

test.each(ALL.map((names) => ({ line: ['bootswarm', ...names].join(' '), names })))(
  '$line --help describes it and shows an example of it',
  async ({ line, names }) => {
    const terminal = capturedTerminal();
    expect(await runCli([...names, '--help'], terminal)).toBe(0);
    expect(terminal.out).toMatch(new RegExp(`^Usage: ${line}.*\n\n[A-Z].{20,}`));
    const examples = terminal.out.split('Examples:\n')[1];
    expect(examples).toContain(line);
    expect(terminal.err).toBe('');
  },
);

test('prints its version', async () => {
  const terminal = capturedTerminal();
  expect(await runCli(['--version'], terminal)).toBe(0);
  expect(terminal.out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test.each([
  [['frob'], "bootswarm: unknown command 'frob'\n  → see bootswarm --help\n"],
  [
    ['images', 'show'],
    "bootswarm: missing required argument 'image'\n  → see bootswarm images show --help\n",
  ],
  [
    ['vm', 'create', 'x'],
    "bootswarm: required option '--name <name>' not specified\n  → see bootswarm vm create --help\n",
  ],
  [['status', '--frob'], "bootswarm: unknown option '--frob'\n  → see bootswarm status --help\n"],
  [
    ['nodes', 'extra'],
    "bootswarm: too many arguments for 'nodes'. Expected 0 arguments but got 1: extra.\n  → see bootswarm nodes --help\n",
  ],
  [
    ['demo', '--vms', '0'],
    "bootswarm: option '--vms <n>' argument '0' is invalid. Give a number from 1 to 1000.\n  → see bootswarm demo --help\n",
  ],
  [
    ['tracker', '--origin-mbit', '0'],
    "bootswarm: option '--origin-mbit <n>' argument '0' is invalid. Give Mbit per second, as 4000 or 0.5.\n" +
      '  → see bootswarm tracker --help\n',
  ],
  [
    ['tracker', '--listen', '7420'],
    "bootswarm: option '--listen <host:port>' argument '7420' is invalid. Write it as HOST:PORT or [IPV6]:PORT.\n" +
      '  → see bootswarm tracker --help\n',
  ],
])('exits with 2 on %j and says where to look', async (args, message) => {
  const terminal = capturedTerminal();
  expect(await runCli(args, terminal)).toBe(2);
  expect(terminal.err).toBe(message);
  expect(terminal.out).toBe('');
});

test('exits with 2 and shows the help of a command that needs a subcommand', async () => {
  const terminal = capturedTerminal();
  expect(await runCli(['vm'], terminal)).toBe(2);
  expect(terminal.err).toMatch(/^Usage: bootswarm vm/);
});

test('exits with 1 and says what failed and what to do', async () => {
  const terminal = capturedTerminal();
  expect(await runCli(['status', '--run', '/nonexistent'], terminal)).toBe(1);
  expect(terminal.err).toBe(
    'bootswarm: cannot reach the agent at /nonexistent/agent.sock: there is no such socket (ENOENT)\n' +
      '  → start it with bootswarm agent, or say where it is with --run DIR or BOOTSWARM_RUN\n',
  );
});

test('refuses a bad size before it asks the agent', async () => {
  const terminal = capturedTerminal();
  const args = ['vm', 'create', 'x', '--name', 'n', '--size', 'huge', '--run', '/nonexistent'];
  expect(await runCli(args, terminal)).toBe(1);
  expect(terminal.err).toMatch(/^bootswarm: 'huge' is not a size in whole bytes\n {2}→ /);
});
