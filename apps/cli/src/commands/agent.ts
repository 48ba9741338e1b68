/** `bootswarm agent`: runs the agent of this compute node in the foreground. */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { FillMode } from '@bootswarm/agent';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes, parseByteSize } from '../byte-size.ts';
import type { CliContext } from '../cli.ts';
import { runUntilSignal } from '../daemon-life.ts';
import { AGENT_PORT, runDirectory, trackerUrl, withTrackerOption } from '../daemons.ts';
import { type ListenAddress, parseListenAddress } from '../listen-address.ts';
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
  readonly fill: FillMode;
  readonly hot: number;
  readonly foreignPeers: boolean;
  readonly publisherKey?: string;
  readonly logLevel: LogLevel;
}

const LISTEN = `127.0.0.1:${AGENT_PORT}`;
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
    .option('--listen <host:port>', 'peers', parseListenAddress, parseListenAddress(LISTEN))
    .addOption(
      new Option('--fill <when>', 'when to fetch what no guest has read')
        .choices(['idle', 'always', 'never'])
        .default('idle'),
    )
    .option('--hot <size>', 'pieces kept in memory', parseHotBytes, HOT_BYTES)
    .option(
      '--publisher-key <hex>',
      'accept images signed with this key; else the first key seen is kept',
      parsePublisherKey,
    )
    .option('--foreign-peers', 'accept BitTorrent clients that are not agents', false)
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      `
It accepts peers from this machine only (${LISTEN}) unless told otherwise; --hot is ${formatBytes(HOT_BYTES)} unless given.

Examples:
  bootswarm agent --tracker http://10.0.0.5:7420 --listen 10.0.0.21:7422 --rack r12
  bootswarm agent --run ~/run --cache ~/cache --fill never
  bootswarm agent --hot 2G --fill always`,
    )
    .action(async (options: Options) => {
      const { runAgent } = await import('@bootswarm/agent');
      const { env } = terminal;
      const runDir = runDirectory(options, env);
      const { node, zone, rack, listen, fill, foreignPeers, publisherKey, logLevel } = options;
      const agent = await runAgent({
        ...{ node, zone, rack, listen, fill, foreignPeers, publisherKey, logLevel, runDir },
        trackerUrl: trackerUrl(options, env).origin,
        cacheDir: resolve(options.cache),
        hotBytes: options.hot,
        vmDir: options.vms === undefined ? undefined : resolve(options.vms),
      });
      print(terminal.stdout, `agent ready at ${join(runDir, 'agent.sock')}`);
      await runUntilSignal(agent);
    });
  return withTrackerOption(command);
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
