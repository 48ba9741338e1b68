/** What `bootswarm agent` is told about its NBD server, and which of it goes together. */
import { resolve } from 'node:path';
import type { AgentOptions } from '@bootswarm/agent';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes, parseByteSize } from './byte-size.ts';
import { OptionsError } from './failure.ts';
import { type ListenAddress, parseListenAddress } from './listen-address.ts';

export interface NbdOptions {
  readonly nbdMemory: number;
  readonly nbdTcp?: ListenAddress;
  readonly nbdTlsCert?: string;
  readonly nbdTlsKey?: string;
  readonly nbdTlsCa?: string;
  readonly nbdTcpPlain: boolean;
}

const NBD_MEMORY = 64 * 1024 * 1024;
/** One of QEMU's longest reads. */
const NBD_MEMORY_MIN = 32 * 1024 * 1024;

export function withNbdOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--nbd-memory <size>', 'for replies to VMs that wait, of all of them')
        .argParser(parseNbdMemory)
        .default(NBD_MEMORY, formatBytes(NBD_MEMORY)),
    )
    .addOption(
      new Option('--nbd-tcp <host:port>', 'serve NBD clients of other hosts too').argParser(
        parseListenAddress,
      ),
    )
    .option('--nbd-tls-cert <file>', 'certificate and its chain, for --nbd-tcp')
    .option('--nbd-tls-key <file>', 'the key of that certificate')
    .option('--nbd-tls-ca <file>', 'only clients with a certificate of this CA may connect')
    .option('--nbd-tcp-plain', 'no TLS for --nbd-tcp: whoever can connect reads all', false);
}

/** Throws OptionsError `nbd-tls-needed` or `nbd-options-conflict`: no option is silently ignored. */
export function nbdSettings(options: NbdOptions): Pick<AgentOptions, 'nbdReplyBytes' | 'nbdTcp'> {
  const { nbdMemory: nbdReplyBytes, nbdTcp, nbdTlsCert, nbdTlsKey, nbdTlsCa } = options;
  const tlsOptions = [nbdTlsCert, nbdTlsKey, nbdTlsCa];
  const hasTls = tlsOptions.some((each) => each !== undefined);
  if (nbdTcp === undefined) {
    if (!hasTls && !options.nbdTcpPlain) return { nbdReplyBytes };
    const message = '--nbd-tls-cert, --nbd-tls-key, --nbd-tls-ca and --nbd-tcp-plain are for TCP';
    throw conflict(message, 'say where to listen with --nbd-tcp HOST:PORT, or leave them out');
  }
  if (options.nbdTcpPlain) {
    if (!hasTls) return { nbdReplyBytes, nbdTcp: { ...nbdTcp, security: 'plain' } };
    throw conflict('--nbd-tcp-plain means no TLS', 'leave it out, or the --nbd-tls options');
  }
  if (nbdTlsCert === undefined || nbdTlsKey === undefined) {
    throw new OptionsError(
      'nbd-tls-needed',
      '--nbd-tcp needs TLS: every image could be read from the network otherwise',
      'give --nbd-tls-cert FILE and --nbd-tls-key FILE, or --nbd-tcp-plain on a network you trust',
    );
  }
  const clientCa = nbdTlsCa === undefined ? undefined : resolve(nbdTlsCa);
  const security = { certificate: resolve(nbdTlsCert), key: resolve(nbdTlsKey), clientCa };
  return { nbdReplyBytes, nbdTcp: { ...nbdTcp, security } };
}

function conflict(message: string, hint: string): OptionsError {
  return new OptionsError('nbd-options-conflict', message, hint);
}

function parseNbdMemory(text: string): number {
  let bytes: number;
  try {
    bytes = parseByteSize(text);
  } catch {
    throw new InvalidArgumentError('Write it as 64MiB or 1G.');
  }
  if (bytes < NBD_MEMORY_MIN) throw new InvalidArgumentError('At least 32MiB, one long read.');
  return bytes;
}
