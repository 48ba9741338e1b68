/** The `bootswarm` command line: which commands there are, and how each of them ends. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { CliContext } from './cli-context.ts';
import { agentCommand } from './commands/agent.ts';
import { attachCommand, detachCommand } from './commands/attach.ts';
import { copyCommand } from './commands/copy.ts';
import { demoCommand } from './commands/demo.ts';
import { imagesCommand } from './commands/images.ts';
import { nodesCommand } from './commands/nodes.ts';
import { prefetchCommand } from './commands/prefetch.ts';
import { publishCommand } from './commands/publish.ts';
import { statusCommand } from './commands/status.ts';
import { trackerCommand } from './commands/tracker.ts';
import { vmCommand } from './commands/vm.ts';
import { watchCommand } from './commands/watch.ts';
import { withdrawCommand } from './commands/withdraw.ts';
import { exitCodeOf, renderFailure } from './failure.ts';
import { print, type Terminal } from './terminal.ts';

/** Runs one command line (without node and script); resolves with the exit code, having written all there is to say. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  const context: CliContext = { terminal, args, exitCode: 0 };
  try {
    await buildProgram(context).parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    const exitCode = exitCodeOf(error);
    if (!isAlreadyTold(error)) print(terminal.stderr, renderFailure(error));
    return exitCode;
  }
}

export function buildProgram(context: CliContext): Command {
  const program = new Command('bootswarm')
    .description('Boots many VMs from one image at once: nodes feed each other, block by block.')
    .version(version())
    // An option is that of the command it follows: `agent` and `agent upgrade` both have --run.
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Examples:
  bootswarm demo                                     see it work on this machine
  bootswarm tracker                                  one per cloud
  bootswarm agent --tracker http://10.0.0.5:7420     one per compute node
  bootswarm publish debian-12.qcow2                  put an image into the catalogue
  bootswarm vm create debian-12 --name web-1         a VM that boots from it at once

IMAGE in a command is an image's id, an unambiguous beginning of it, or its name.`,
    );
  const commands = [
    ...[trackerCommand, agentCommand, publishCommand, withdrawCommand, imagesCommand],
    ...[nodesCommand, attachCommand, detachCommand, vmCommand, statusCommand, watchCommand],
    ...[copyCommand, prefetchCommand, demoCommand],
  ];
  for (const command of commands) program.addCommand(command(context));
  for (const command of withSubcommands(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => context.terminal.stdout.write(text),
      writeErr: (text) => context.terminal.stderr.write(text),
      outputError: (text, write) => write(usageFailure(text, command)),
      getOutHelpWidth: () => context.terminal.stdout.columns ?? 80,
      getErrHelpWidth: () => context.terminal.stderr.columns ?? 80,
    });
  }
  return program;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** commander says `error: unknown option '--x'`. */
function usageFailure(text: string, command: Command): string {
  const names: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name());
  const what = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ');
  return `bootswarm: ${what}\n  → see ${names.join(' ')} --help\n`;
}

/** commander writes usage errors, help and version itself before it throws. */
function isAlreadyTold(error: unknown): boolean {
  return error instanceof Error && error.name === 'CommanderError';
}

function version(): string {
  const path = new URL('../package.json', import.meta.url);
  return JSON.parse(readFileSync(path, 'utf8')).version;
}
