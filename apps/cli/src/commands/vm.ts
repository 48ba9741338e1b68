/** `bootswarm vm`: overlays on this node's agent, one per VM; starting QEMU is the caller's. */
import type { VmInfo, VmStatus } from '@bootswarm/agent';
import { Command, Option } from 'commander';
import { formatBytes, parseByteSize } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import { type AgentOptions, findAgent, withAgentOption } from '../daemons.ts';
import { shellCommand } from '../shell-command.ts';
import { left, renderTable, right } from '../table.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { printable } from '../terminal-text.ts';
import { migrateArgsCommand, migrateCommand } from './vm-migrate.ts';

interface CreateOptions extends AgentOptions {
  readonly name: string;
  readonly size?: string;
  readonly qmp?: string;
  readonly json?: boolean;
}

interface RemoveOptions extends AgentOptions {
  readonly force?: boolean;
}

interface RebaseOptions extends AgentOptions {
  readonly to: 'local' | 'swarm';
}

interface ListOptions extends AgentOptions {
  readonly json?: boolean;
}

export function vmCommand(context: CliContext): Command {
  return new Command('vm')
    .description('Create, list, move and remove VMs on this node.')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm vm create debian-12 --name web-1
  bootswarm vm ls
  bootswarm vm pivot web-1
  bootswarm vm rm web-1`,
    )
    .addCommand(createCommand(context))
    .addCommand(listCommand(context))
    .addCommand(pivotCommand(context))
    .addCommand(rebaseCommand(context))
    .addCommand(flattenCommand(context))
    .addCommand(migrateCommand(context))
    .addCommand(migrateArgsCommand(context))
    .addCommand(removeCommand(context));
}

function createCommand({ terminal }: CliContext): Command {
  const command = new Command('create')
    .description('Make an overlay on an image; print it, a QEMU command line, and libvirt XML.')
    .argument('<image>', 'id, beginning of the id, or name')
    .requiredOption('--name <name>', 'name of the VM, unique on this node')
    .option('--size <size>', "size of its disk, at least the image's; default: the image's")
    .option('--qmp <path>', 'where its QEMU makes its QMP socket; default: beside the overlay')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
The command has QEMU use KVM, or TCG where there is no KVM. Where there is one in which guests
hang, start the agent with --accel tcg. It has QEMU make a QMP socket, through which the agent moves
the running VM to the local file once the image is complete: run QEMU as the user that the agent runs as.

Examples:
  bootswarm vm create debian-12 --name web-1
  bootswarm vm create debian-12 --name web-2 --size 20G
  bootswarm vm create 3f9a --name web-3 --json | jq -r .overlay`,
    )
    .action(async (image: string, options: CreateOptions) => {
      const { name, size, qmp } = options;
      const sizeBytes = size === undefined ? undefined : parseByteSize(size);
      const agent = findAgent(options, terminal.env);
      const vm = await agent.post<VmInfo>('/v1/vms', { image, name, sizeBytes, qmp });
      if (options.json) printJson(terminal.stdout, vm);
      else print(terminal.stdout, describeVm(vm));
    });
  return withAgentOption(command);
}

function listCommand({ terminal }: CliContext): Command {
  const columns = [
    ...[left('NAME'), left('IMAGE'), left('BACKING'), right('NBD'), right('CACHE'), right('PEERS')],
    ...[right('ORIGIN'), left('CREATED'), left('OVERLAY')],
  ];
  const command = new Command('ls')
    .description('List the VMs of this node, with the bytes each has read by where they were.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
BACKING is what its overlay reads through to: the swarm, the local file of the complete image, or
none. NBD counts a VM's open connections: 0 means it is not running, or no longer needs the agent.

Examples:
  bootswarm vm ls
  bootswarm vm ls --json | jq -r '.vms[].name'`,
    )
    .action(async (options: ListOptions) => {
      const agent = findAgent(options, terminal.env);
      const answer = await agent.get<{ vms: VmStatus[] }>('/v1/vms');
      if (options.json) return printJson(terminal.stdout, answer);
      const rows = answer.vms.map(({ read, ...vm }) => [
        ...[vm.name, vm.imageName, vm.backing, String(vm.connections)],
        ...[read.cache, read.peers, read.origin].map(formatBytes),
        ...[vm.createdAt, vm.overlay],
      ]);
      print(terminal.stdout, renderTable(columns, rows, terminal.stdout.columns));
    });
  return withAgentOption(command);
}

function pivotCommand({ terminal }: CliContext): Command {
  const command = new Command('pivot')
    .description('Move a running VM to the local file: it needs the agent no longer.')
    .argument('<name>', 'name of the VM')
    .addHelpText(
      'after',
      `
Needs all pieces of the image on this node, and the QMP socket of the VM. The guest does not notice.
The agent does it by itself unless it was started with --pivot no.

Examples:
  bootswarm vm pivot web-1`,
    )
    .action(async (name: string, options: AgentOptions) => {
      await move(terminal, options, name, 'pivot', {});
    });
  return withAgentOption(command);
}

function rebaseCommand({ terminal }: CliContext): Command {
  const command = new Command('rebase')
    .description('Have a VM that is not running read the local file, or the swarm, when it starts.')
    .argument('<name>', 'name of the VM')
    .addOption(new Option('--to <backing>').choices(['local', 'swarm']).default('local'))
    .addHelpText(
      'after',
      `
The local file is kept for as long as a VM reads it. What was moved back to the swarm stays there.

Examples:
  bootswarm vm rebase web-1
  bootswarm vm rebase web-1 --to swarm`,
    )
    .action(async (name: string, options: RebaseOptions) => {
      await move(terminal, options, name, 'rebase', { to: options.to });
    });
  return withAgentOption(command);
}

function flattenCommand({ terminal }: CliContext): Command {
  const command = new Command('flatten')
    .description('Copy the image into the overlay of a VM that is not running: it needs no other.')
    .argument('<name>', 'name of the VM')
    .addHelpText(
      'after',
      `
Takes as long as reading the whole image does, and as much space. When it is cut off, the VM is as it
was.

Examples:
  bootswarm vm flatten web-1`,
    )
    .action(async (name: string, options: AgentOptions) => {
      await move(terminal, options, name, 'flatten', {});
    });
  return withAgentOption(command);
}

const READS: Readonly<Record<VmStatus['backing'], string>> = {
  swarm: 'reads the image from the swarm',
  local: 'reads the image from the local file',
  none: 'has its whole disk in its overlay',
};

/** However long the image takes to be read. */
async function move(
  terminal: Terminal,
  options: AgentOptions,
  name: string,
  verb: 'pivot' | 'rebase' | 'flatten',
  body: object,
): Promise<void> {
  const agent = findAgent(options, terminal.env);
  const path = `/v1/vms/${encodeURIComponent(name)}/${verb}`;
  const vm = await agent.post<VmStatus>(path, body, 0);
  print(terminal.stdout, `${printable(vm.name)} ${READS[vm.backing]}`);
}

function removeCommand({ terminal }: CliContext): Command {
  const command = new Command('rm')
    .description('Remove a VM: its overlay is deleted and everything it wrote is gone.')
    .argument('<name>', 'name of the VM')
    .option('--force', 'even while it is running')
    .addHelpText(
      'after',
      `
Examples:
  bootswarm vm rm web-1
  bootswarm vm rm web-1 --force`,
    )
    .action(async (name: string, options: RemoveOptions) => {
      const agent = findAgent(options, terminal.env);
      await agent.delete(`/v1/vms/${encodeURIComponent(name)}${options.force ? '?force=1' : ''}`);
      print(terminal.stdout, `removed ${name}`);
    });
  return withAgentOption(command);
}

function describeVm(vm: VmInfo): string {
  return [
    `overlay  ${printable(vm.overlay)}`,
    `\nrun it with QEMU, as the user that the agent runs as:\n  ${shellCommand(vm.qemuCommand)}`,
    `\nor put this disk into a libvirt domain:\n${vm.libvirtDiskXml.trimEnd()}`,
  ].join('\n');
}
