/** `bootswarm tracker`: runs the tracker and its origin in the foreground. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { CliContext } from '../cli.ts';
import { runUntilSignal } from '../daemon-life.ts';
import { ORIGIN_PORT, TRACKER_PORT } from '../daemons.ts';
import { type ListenAddress, parseListenAddress } from '../listen-address.ts';
import { type LogLevel, logLevelOption } from '../log-level.ts';
import { print } from '../terminal.ts';

interface Options {
  readonly data: string;
  readonly listen: ListenAddress;
  readonly originListen: ListenAddress;
  readonly logLevel: LogLevel;
}

const LISTEN = `127.0.0.1:${TRACKER_PORT}`;
const ORIGIN_LISTEN = `127.0.0.1:${ORIGIN_PORT}`;

export function trackerCommand({ terminal }: CliContext): Command {
  return new Command('tracker')
    .description('Run the tracker: catalogue of images, registry of swarms, and the origin.')
    .option('--data <dir>', 'images, keys and the admin token', '/var/lib/bootswarm/tracker')
    .option('--listen <host:port>', 'HTTP API', parseListenAddress, parseListenAddress(LISTEN))
    .option(
      '--origin-listen <host:port>',
      'where the origin accepts peers',
      parseListenAddress,
      parseListenAddress(ORIGIN_LISTEN),
    )
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      `
It listens on this machine only (${LISTEN}, origin ${ORIGIN_LISTEN}) unless told otherwise.

Examples:
  bootswarm tracker
  bootswarm tracker --listen 10.0.0.5:7420 --origin-listen 10.0.0.5:7421
  bootswarm tracker --data ~/bootswarm --listen 127.0.0.1:0`,
    )
    .action(async (options: Options) => {
      const { runTracker } = await import('@bootswarm/tracker');
      const { listen, originListen, logLevel } = options;
      const dataDir = resolve(options.data);
      const tracker = await runTracker({ dataDir, listen, originListen, logLevel });
      print(terminal.stdout, `tracker ready at ${tracker.url}`);
      await runUntilSignal(tracker);
    });
}
