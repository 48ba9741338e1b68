/** `bootswarm agent`: runs the agent of this compute node in the foreground. */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { AgentOptions, FillMode } from '@bootswarm/agent';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes, parseByteSize } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import { runUntilSignal } from '../daemon-life.ts';
import { runDirectory, trackerUrl, withTrackerOption } from '../daemons.ts';
import { type ListenAddress, listenOption } from '../listen-address.ts';
import { type LogLevel, logLevelOption } from '../log-level.ts';
import { print } from '../terminal.ts';

interface Options {
  readonly tracker?: string;
  readonly run?: string;
  readonly cache: string;
  readonly vms?: string;
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly listen: ListenAddress;
  readonly advertise?: string;
  readonly fill: FillMode;
  readonly hot: number;
  readonly prejoin: 'yes' | 'no';
  readonly pivot: 'yes' | 'no';
  readonly foreignPeers: boolean;
  readonly publisherKey?: string;
  readonly accel: keyof typeof ACCELERATORS;
  readonly logLevel: LogLevel;
}

/** Any free port: several agents may share a host, and the tracker tells peers which it is. */
const LISTEN = '0.0.0.0:0';
/** What QEMU is told to try, in this order; without any, the agent's own choice. */
const ACCELERATORS = {
  auto: undefined,
  kvm: ['kvm'],
  tcg: ['tcg'],
} as const satisfies Record<string, AgentOptions['accelerators']>;
const HOT_BYTES = 256 * 1024 * 1024;

export function agentCommand({ terminal }: CliContext): Command {
  const command = new Command('agent')
    .description('Run the agent: serves images to the VMs of this node and to other agents.')
    .option('--run <dir>', 'sockets (else BOOTSWARM_RUN, /run/bootswarm)')
    .option('--cache <dir>', 'pieces of images', '/var/lib/bootswarm/cache')
    .option('--vms <dir>', "overlays of VMs, unless the agent's own choice will do")
    .option('--node <name>', 'this node', hostname())
    .option('--zone <name>', 'its zone', 'default')
    .option('--rack <name>', 'its rack', 'default')
    .addOption(listenOption('--listen', 'peers', LISTEN))
    .option('--advertise <host>', 'where other nodes dial this one, if not where it listens')
    .addOption(fillOption())
    .addOption(
      new Option('--hot <size>', 'pieces kept in memory')
        .argParser(parseHotBytes)
        .default(HOT_BYTES, formatBytes(HOT_BYTES)),
    )
    .addOption(prejoinOption())
    .addOption(pivotOption())
    .option(
      '--publisher-key <hex>',
      'accept only images signed with this key; else the first key seen is kept',
      parsePublisherKey,
    )
    .option('--foreign-peers', 'accept BitTorrent clients that are not agents', false)
    .addOption(
      new Option('--accel <how>', 'what the QEMU commands of vm create use; auto: KVM, else TCG')
        .choices(Object.keys(ACCELERATORS))
        .default('auto'),
    )
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      `
It accepts peers on any free port of every address; the tracker tells them the port, and the address
that it sees. Give --listen a port of its own where a firewall has to let peers in. Give --advertise
an address of this host where the tracker sees one that other nodes cannot dial: that of a NAT, or
127.0.0.1 for an agent on the tracker's own host. --publisher-key: curl TRACKER/healthz shows it.
Where guests hang although there is a /dev/kvm, as on some nested hosts, --accel tcg boots them slowly.

Examples:
  bootswarm agent --tracker http://10.0.0.5:7420 --rack r12
  bootswarm agent --tracker http://10.0.0.5:7420 --listen 10.0.0.21:7422
  bootswarm agent --tracker http://127.0.0.1:7420 --advertise 10.0.0.5
  bootswarm agent --run ~/run --cache ~/cache --fill never --accel tcg
  bootswarm agent --hot 2G --fill always`,
    )
    .action(async (options: Options) => {
      const { runAgent } = await import('@bootswarm/agent');
      const { env } = terminal;
      const runDir = runDirectory(options, env);
      const { node, zone, rack, listen, advertise, fill } = options;
      const { foreignPeers, publisherKey, accel, logLevel } = options;
      const agent = await runAgent({
        ...{ node, zone, rack, listen, advertise, fill, foreignPeers, publisherKey, logLevel },
        runDir,
        accelerators: ACCELERATORS[accel],
        trackerUrl: trackerUrl(options, env).origin,
        cacheDir: resolve(options.cache),
        hotBytes: options.hot,
        prejoin: options.prejoin === 'yes',
        pivot: options.pivot === 'yes',
        vmDir: options.vms === undefined ? undefined : resolve(options.vms),
      });
      print(terminal.stdout, `agent ready at ${join(runDir, 'agent.sock')}`);
      await runUntilSignal(agent);
    });
  return withTrackerOption(command);
}

function fillOption(): Option {
  return new Option('--fill <when>', 'when to fetch what no guest has read')
    .choices(['idle', 'always', 'never'])
    .default('idle');
}

function prejoinOption(): Option {
  return new Option('--prejoin <answer>', 'join swarms before a VM of this node wants the image')
    .choices(['yes', 'no'])
    .default('yes');
}

function pivotOption(): Option {
  return new Option('--pivot <answer>', 'move VMs to the local file when their image is complete')
    .choices(['yes', 'no'])
    .default('yes');
}

function parseHotBytes(text: string): number {
  try {
    return parseByteSize(text);
  } catch {
    throw new InvalidArgumentError('Write it as 256MiB or 2G.');
  }
}

/** An Ed25519 public key: 32 bytes. */
function parsePublisherKey(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Give the 64 hex digits of an Ed25519 public key.');
}
