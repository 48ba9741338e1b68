/** `bootswarm vm migrate` and `migrate-args`: a VM that runs on this node goes on at another one. */
import type { VmInfo } from '@bootswarm/agent';
import { type MigrationPlan, migrate, migrationPlan, QmpClient } from '@bootswarm/qemu';
import { OperatorError } from '@bootswarm/stdx';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import { type AgentOptions, findAgent, withAgentOption } from '../daemons.ts';
import { shellCommand } from '../shell-command.ts';
import { print, printJson, type Terminal } from '../terminal.ts';

interface Options extends AgentOptions {
  readonly to: string;
  readonly diskPort: number;
  readonly memoryPort: number;
}

interface MigrateOptions extends Options {
  readonly qmp: string;
}

interface ArgsOptions extends Options {
  readonly json?: boolean;
}

/** What is to be done for one VM. */
interface Migration extends MigrationPlan {
  /** argv of the command that makes the disk on the destination. */
  readonly create: readonly string[];
  readonly sourceQmp: string;
  /** argv of the command that removes the VM from the source when all is done. */
  readonly remove: readonly string[];
}

/** NBD's own port, and the one that most examples of QEMU use. */
const DISK_PORT = 10_809;
const MEMORY_PORT = 4444;

export function migrateCommand({ terminal }: CliContext): Command {
  const command = new Command('migrate')
    .description('Move a running VM to another node: only its memory and what it wrote travel.')
    .argument('<name>', 'name of the VM')
    .requiredOption('--qmp <path>', "QMP socket of the destination's QEMU, as this host sees it")
    .addHelpText(
      'after',
      `
The destination's QEMU must be waiting: see bootswarm vm migrate-args for what to do there first. Its
QMP socket comes here through ssh. If anything fails, the guest goes on here. Neither the disk nor the
memory is encrypted on the way: use a network that you trust.

Examples:
  ssh -nNT -L /tmp/web-1.qmp:/var/lib/bootswarm/cache/vms/web-1.qmp node2 &
  bootswarm vm migrate web-1 --to node2 --qmp /tmp/web-1.qmp`,
    )
    .action(async (name: string, options: MigrateOptions) => {
      const plan = await planFor(terminal, name, options);
      const destination = await QmpClient.open({ path: options.qmp });
      try {
        const source = await QmpClient.open({ path: plan.sourceQmp });
        try {
          const { downtimeMs, diskBytes, memoryBytes } = await migrate(plan, {
            source,
            destination,
          });
          const moved = `disk ${formatBytes(diskBytes)}, memory ${formatBytes(memoryBytes)}`;
          print(
            terminal.stdout,
            `${name} runs on ${options.to}: stood still ${downtimeMs} ms; ${moved}`,
          );
        } finally {
          source.close();
        }
      } finally {
        destination.close();
      }
      print(terminal.stdout, `remove it here with: ${shellCommand(plan.remove)}`);
    });
  return withMigrationOptions(command);
}

export function migrateArgsCommand({ terminal }: CliContext): Command {
  const command = new Command('migrate-args')
    .description('Print what moves a running VM to another node, step by step.')
    .argument('<name>', 'name of the VM')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Changes nothing. Step 3 is what bootswarm vm migrate does.

Examples:
  bootswarm vm migrate-args web-1 --to node2
  bootswarm vm migrate-args web-1 --to node2 --json | jq .steps`,
    )
    .action(async (name: string, options: ArgsOptions) => {
      const plan = await planFor(terminal, name, options);
      if (options.json) printJson(terminal.stdout, plan);
      else print(terminal.stdout, describe(plan, options.to));
    });
  return withMigrationOptions(command);
}

function withMigrationOptions(command: Command): Command {
  const port = (flag: string, what: string, byDefault: number) =>
    new Option(flag, what).argParser(parsePort).default(byDefault);
  return withAgentOption(
    command
      .requiredOption('--to <host>', 'the destination, as this host reaches it')
      .addOption(port('--disk-port <port>', 'of the destination, for the disk', DISK_PORT))
      .addOption(port('--memory-port <port>', 'of the destination, for memory', MEMORY_PORT)),
  );
}

async function planFor(terminal: Terminal, name: string, options: Options): Promise<Migration> {
  const agent = findAgent(options, terminal.env);
  const vm = await agent.get<VmInfo>(`/v1/vms/${encodeURIComponent(name)}`);
  if (vm.qmp === undefined) {
    throw new OperatorError(
      'vm-no-qmp',
      `VM ${name} has no QMP socket`,
      'Give bootswarm vm create --qmp PATH; without one a VM is moved when it is shut down.',
    );
  }
  const { to: host, diskPort, memoryPort } = options;
  const size = ['--size', String(vm.sizeBytes)];
  return {
    create: ['bootswarm', 'vm', 'create', vm.image, '--name', vm.name, ...size],
    sourceQmp: vm.qmp,
    ...migrationPlan({ host, diskPort, memoryPort, isFlat: vm.backing === 'none' }),
    remove: ['bootswarm', 'vm', 'rm', vm.name],
  };
}

function describe(plan: Migration, host: string): string {
  const steps = [...plan.steps, ...plan.finish].map(({ at, command, until }) => {
    const line = `   ${at === 'source' ? 'here ' : 'there'}  ${JSON.stringify(command)}`;
    if (until === undefined) return line;
    const data = Object.entries(until.data).map(([key, value]) => `${key} ${value}`);
    return `${line}\n          wait for the event ${until.event}, ${data.join(', ')}`;
  });
  return [
    `1. on ${host}, make the disk:\n   ${shellCommand(plan.create)}`,
    `2. on ${host}, run the QEMU command that this prints, with these added:\n   ${shellCommand(plan.destinationArguments)}`,
    `3. through QMP, here on ${plan.sourceQmp} and there on the socket of step 2:\n${steps.join('\n')}`,
    `4. the guest runs there; remove the VM here:\n   ${shellCommand(plan.remove)}`,
  ].join('\n');
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('Give a port from 1 to 65535.');
}
