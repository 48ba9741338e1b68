/** `bootswarm agent`: runs the agent of this compute node in the foreground. */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { AgentOptions, FillMode } from '@bootswarm/agent';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type AgentLife, liveAsAgent } from '../agent-life.ts';
import { formatBytes, parseByteSize } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import { applyConfig, withConfigOptions } from '../config/config-file.ts';
import { runDirectory, trackerUrl, withTrackerOption } from '../daemons.ts';
import { OptionsError } from '../failure.ts';
import { type ProxyOptions, proxySettings, withProxyOptions } from '../glance-options.ts';
import {
  type ListenAddress,
  listenOption,
  parseListenAddress,
  requireApart,
} from '../listen-address.ts';
import { type LogLevel, logLevelOption } from '../log-level.ts';
import { type NbdOptions, nbdSettings, withNbdOptions } from '../nbd-options.ts';
import { print } from '../terminal.ts';
import { agentUpgradeCommand } from './agent-upgrade.ts';

interface Options extends NbdOptions, ProxyOptions {
  readonly tracker?: string;
  readonly run?: string;
  readonly cache: string;
  readonly vms?: string;
  readonly copies?: string;
  readonly fuse?: string;
  readonly novaInstances?: string;
  readonly novaConf?: string;
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly listen: ListenAddress;
  readonly advertise?: string;
  readonly fill: FillMode;
  readonly hot: number;
  readonly scrub: number;
  readonly cacheMax?: number;
  readonly evictRunning: boolean;
  readonly prejoin: 'yes' | 'no';
  readonly pivot: 'yes' | 'no';
  readonly foreignPeers: boolean;
  readonly publisherKey?: string;
  readonly accel: keyof typeof ACCELERATORS;
  readonly holder: 'yes' | 'no';
  readonly watchdogSeconds: number;
  readonly metrics?: ListenAddress;
  readonly check: boolean;
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
/** 14 GiB in an hour, at a few percent of what a disk or a processor gives. */
const SCRUB_BYTES_PER_SECOND = 4 * 1024 * 1024;
const SCRUB_DESCRIPTION = 'bytes per second read from the cache to find rot; 0: off';
const WATCHDOG_SECONDS = 10;

const HELP = `
It accepts peers on any free port of every address; the tracker tells them the port, and the address
that it sees. Give --listen a port of its own where a firewall has to let peers in. Give --advertise
an address of this host where the tracker sees one that other nodes cannot dial: that of a NAT, or
127.0.0.1 for an agent on the tracker's own host. --publisher-key: curl TRACKER/healthz shows it.
Over --cache-max, images that no guest uses leave the cache, the one last used longest ago first.
Its guests' reads wait while it restarts: a parent process, the socket holder, keeps the sockets and has
a successor ready. Under systemd with Sockets= there is no need of one. --holder no: one process, for
who has a supervisor that keeps sockets, or wants none.
--glance-proxy is for nova.conf on this node, [glance] endpoint_override=http://HOST:PORT: raw images come from
the swarm once Glance has said yes to the caller's token, all else is passed on. With --openstack-credentials
the node may have images that its project may see in Glance and not everybody.
--nbd-tcp is for NBD clients that are not on this host; VMs here use RUN/nbd.sock.
Where guests hang although there is a /dev/kvm, as on some nested hosts, --accel tcg boots them slowly.

Examples:
  bootswarm agent --tracker http://10.0.0.5:7420 --rack r12
  bootswarm agent --tracker http://10.0.0.5:7420 --listen 10.0.0.21:7422
  bootswarm agent --tracker http://127.0.0.1:7420 --advertise 10.0.0.5
  bootswarm agent --run ~/run --cache ~/cache --fill never --accel tcg
  bootswarm agent --hot 2G --fill always
  bootswarm agent --glance-proxy 127.0.0.1:9292 --glance-url http://10.0.0.5:9292
  bootswarm agent --config /etc/bootswarm/agent.yaml --check
  bootswarm agent upgrade`;

export function agentCommand(context: CliContext): Command {
  const command = new Command('agent')
    .description('Run the agent: serves images to the VMs of this node and to other agents.')
    .option('--run <dir>', 'sockets (else BOOTSWARM_RUN, /run/bootswarm)')
    .option('--cache <dir>', 'pieces of images', '/var/lib/bootswarm/cache')
    .option('--cache-max <size>', 'what they may take of the disk; else all of it', parseSize)
    .option('--evict-running', 'if need be, of images in use too: guests fetch again', false)
    .option('--vms <dir>', "overlays of VMs, unless the agent's own choice will do")
    .option('--copies <dir>', 'where POST /v1/copies may read and write files; else nowhere')
    .option('--fuse <dir>', 'show images as files here, for Nova and others that know no NBD')
    .option('--nova-instances <dir>', 'keep links there, so that Nova finds its base images')
    .option('--nova-conf <file>', "Nova's configuration, if not in /etc/nova")
    .addOption(new Option('--node <name>', 'this node').default(hostname(), "the host's name"))
    .option('--zone <name>', 'its zone', 'default')
    .option('--rack <name>', 'its rack', 'default')
    .addOption(listenOption('--listen', 'peers', LISTEN))
    .option('--advertise <host>', 'where other nodes dial this one, if not where it listens')
    .addOption(fillOption())
    .addOption(sizeOption('--hot <size>', 'pieces kept in memory', HOT_BYTES))
    .addOption(sizeOption('--scrub <size>', SCRUB_DESCRIPTION, SCRUB_BYTES_PER_SECOND))
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
    .addOption(holderOption())
    .addOption(
      new Option(
        '--watchdog-seconds <n>',
        'abort when the event loop is stuck for so long; 0: never',
      )
        .argParser(parseWatchdogSeconds)
        .default(WATCHDOG_SECONDS),
    )
    .addOption(
      new Option('--metrics <host:port>', 'serve /metrics on TCP too').argParser(
        parseListenAddress,
      ),
    )
    .addOption(logLevelOption())
    .addHelpText('after', HELP)
    .action((options: Options, self: Command) => {
      applyConfig(self);
      return live(options, context);
    })
    .enablePositionalOptions()
    .addCommand(agentUpgradeCommand(context));
  return withConfigOptions(withTrackerOption(withProxyOptions(withNbdOptions(command))));
}

async function live(options: Options, context: CliContext): Promise<void> {
  const { env, stdout } = context.terminal;
  const runDir = runDirectory(options, env);
  const { node, zone, rack, listen, advertise, fill } = options;
  const { foreignPeers, publisherKey, accel, metrics, logLevel, watchdogSeconds } = options;
  requireApart({
    '--listen': listen,
    '--metrics': metrics,
    '--nbd-tcp': options.nbdTcp,
    '--glance-proxy': options.glanceProxy,
  });
  if (options.evictRunning && options.cacheMax === undefined) throw limitNeeded();
  const life: AgentLife = {
    options: {
      ...nbdSettings(options),
      ...{
        node,
        zone,
        rack,
        listen,
        advertise,
        fill,
        foreignPeers,
        publisherKey,
        logLevel,
        metrics,
      },
      ...(await proxySettings(options, env)),
      runDir,
      accelerators: ACCELERATORS[accel],
      trackerUrl: trackerUrl(options, env).origin,
      cacheDir: resolve(options.cache),
      hotBytes: options.hot,
      scrubBytesPerSecond: options.scrub,
      cacheBytesMax: options.cacheMax,
      evictRunning: options.evictRunning,
      prejoin: options.prejoin === 'yes',
      pivot: options.pivot === 'yes',
      copiesDirectory: options.copies === undefined ? undefined : resolve(options.copies),
      fuse: fuseOptions(options),
      vmDir: options.vms === undefined ? undefined : resolve(options.vms),
    },
    wantsHolder: options.holder === 'yes',
    watchdogSeconds,
    args: context.args,
    onReady: () => print(stdout, `agent ready at ${join(runDir, 'agent.sock')}`),
  };
  if (!options.check) {
    context.exitCode = await liveAsAgent(life);
    return;
  }
  await checkNova(life.options.fuse);
  print(stdout, 'the settings of the agent are right');
}

/** Throws what the start would throw because of nova.conf. */
async function checkNova(fuse: AgentOptions['fuse']): Promise<void> {
  if (fuse?.nova === undefined) return;
  const { readNovaConfig } = await import('@bootswarm/agent');
  readNovaConfig(fuse.nova.configFile);
}

function fuseOptions({ fuse, novaInstances, novaConf }: Options): AgentOptions['fuse'] {
  if (novaConf !== undefined && novaInstances === undefined)
    throw optionNeeded('--nova-conf', '--nova-instances');
  if (novaInstances !== undefined && fuse === undefined)
    throw optionNeeded('--nova-instances', '--fuse');
  if (fuse === undefined) return undefined;
  const configFile = novaConf && resolve(novaConf);
  const nova = novaInstances ? { instancesDir: resolve(novaInstances), configFile } : undefined;
  return { directory: resolve(fuse), nova };
}

function optionNeeded(given: string, needed: string): OptionsError {
  return new OptionsError(
    'option-needed',
    `${given} is for an agent with ${needed}`,
    `give ${needed} too`,
  );
}

function limitNeeded(): OptionsError {
  return new OptionsError(
    'cache-limit-needed',
    '--evict-running is for a cache with a limit: without one nothing is ever evicted',
    'say what it may take with --cache-max SIZE, or leave --evict-running out',
  );
}

function holderOption(): Option {
  return new Option('--holder <answer>', 'keep its sockets in a parent process, which restarts it')
    .choices(['yes', 'no'])
    .default('yes');
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

function sizeOption(flags: string, description: string, byDefault: number): Option {
  const option = new Option(flags, description).argParser(parseSize);
  return option.default(byDefault, formatBytes(byDefault));
}

function parseSize(text: string): number {
  try {
    return parseByteSize(text);
  } catch {
    throw new InvalidArgumentError('Write it as 256MiB or 2G.');
  }
}

/** Below a second, a busy host would be taken for a stuck agent. */
function parseWatchdogSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d{1,4}$/.test(text)) return seconds;
  throw new InvalidArgumentError('Give whole seconds, 0 to 9999.');
}

/** An Ed25519 public key: 32 bytes. */
function parsePublisherKey(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Give the 64 hex digits of an Ed25519 public key.');
}
