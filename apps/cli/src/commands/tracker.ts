/** `bootswarm tracker`: runs the tracker and its origin in the foreground. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { CliContext } from '../cli-context.ts';
import { applyConfig, withConfigOptions } from '../config/config-file.ts';
import { runUntilSignal } from '../daemon-life.ts';
import { ORIGIN_PORT, TRACKER_PORT } from '../daemons.ts';
import { starting } from '../failure.ts';
import { type FollowOptions, followSettings, withFollowOptions } from '../glance-options.ts';
import { type ListenAddress, listenOption, requireApart } from '../listen-address.ts';
import { type LogLevel, logLevelOption } from '../log-level.ts';
import { print } from '../terminal.ts';

interface Options extends FollowOptions {
  readonly data: string;
  readonly listen: ListenAddress;
  readonly originListen: ListenAddress;
  /** Mbit/s. */
  readonly originMbit?: number;
  readonly check: boolean;
  readonly logLevel: LogLevel;
}

const EVERY_ADDRESS = '0.0.0.0';

export function trackerCommand({ terminal }: CliContext): Command {
  const command = new Command('tracker')
    .description('Run the tracker: catalogue of images, registry of swarms, and the origin.')
    .option('--data <dir>', 'images, keys and the admin token', '/var/lib/bootswarm/tracker')
    .addOption(listenOption('--listen', 'HTTP API', `${EVERY_ADDRESS}:${TRACKER_PORT}`))
    .addOption(listenOption('--origin-listen', 'peers', `${EVERY_ADDRESS}:${ORIGIN_PORT}`))
    .option(
      '--origin-mbit <n>',
      'the most the origin sends, in Mbit/s; default: no limit',
      parseMbit,
    )
    .addOption(logLevelOption())
    .addHelpText(
      'after',
      `
Every node has to reach both ports. Whoever reaches them may read images; publishing needs the
admin token. The publisherKey of GET /healthz is for agents to pin with --publisher-key.

With a Glance it publishes the images that have the property bootswarm=publish, and withdraws what Glance
deletes or deactivates. Private and shared images are shown to those only whom Glance shows them. The
credential is an openrc file of mode 0600 as Horizon gives it, or OS_AUTH_URL, OS_APPLICATION_CREDENTIAL_ID
and OS_APPLICATION_CREDENTIAL_SECRET in the environment; without one Glance is asked as nobody.

Examples:
  bootswarm tracker
  bootswarm tracker --listen 10.0.0.5:7420 --origin-listen 10.0.0.5:7421
  bootswarm tracker --origin-mbit 4000
  bootswarm tracker --openstack-credentials /etc/bootswarm/openrc
  bootswarm tracker --glance-url http://127.0.0.1:9292 --glance-follow active --glance-poll 5
  bootswarm tracker --config /etc/bootswarm/tracker.yaml
  bootswarm tracker --data ~/bootswarm --listen 127.0.0.1:7420 --origin-listen 127.0.0.1:7421`,
    )
    .action(async (options: Options, self: Command) => {
      applyConfig(self);
      requireApart({ '--listen': options.listen, '--origin-listen': options.originListen });
      const glance = await followSettings(options, terminal.env);
      if (options.check) return print(terminal.stdout, 'the settings of the tracker are right');
      const { runTracker } = await import('@bootswarm/tracker');
      const { listen, originListen, originMbit, logLevel } = options;
      const tracker = await starting(
        runTracker({
          dataDir: resolve(options.data),
          listen,
          originListen,
          originBytesPerSecondMax:
            originMbit === undefined ? undefined : originMbit * BYTES_PER_MBIT,
          logLevel,
          glance,
        }),
      );
      print(terminal.stdout, `tracker ready at ${tracker.url}`);
      print(terminal.stdout, `its web page: ${tracker.url}/`);
      await runUntilSignal(tracker);
    });
  return withConfigOptions(withFollowOptions(command));
}

const BYTES_PER_MBIT = 125_000;

function parseMbit(text: string): number {
  const mbit = Number(text);
  if (/^\d{1,7}(\.\d{1,3})?$/.test(text) && mbit > 0) return mbit;
  throw new InvalidArgumentError('Give Mbit per second, as 4000 or 0.5.');
}
