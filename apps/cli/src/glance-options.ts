/** What a daemon is told about Glance. Secrets come from a file or from the environment, never from options. */

import type { AgentOptions } from '@bootswarm/agent';
import {
  type Credentials,
  credentialsFromEnvironment,
  GlanceClient,
  isGlanceImageId,
  KeystoneSession,
  NoAuthSession,
  readCredentials,
} from '@bootswarm/openstack';
import type { GlanceSelection, TrackerOptions } from '@bootswarm/tracker';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { OptionsError } from './failure.ts';
import { type ListenAddress, parseListenAddress } from './listen-address.ts';
import type { Terminal } from './terminal.ts';

export interface GlanceOptions {
  readonly glanceUrl?: URL;
  readonly openstackCredentials?: string;
}

export interface ProxyOptions extends GlanceOptions {
  readonly glanceProxy?: ListenAddress;
  readonly copies?: string;
}

export interface FollowOptions extends GlanceOptions {
  readonly glanceFollow?: GlanceSelection;
  /** Seconds. */
  readonly glancePoll?: number;
}

const POLL_SECONDS = 15;
const LISTED_MAX = 1_000;

export function withGlanceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--glance-url <url>', 'Glance, if not where the catalog says').argParser(parseUrl),
    )
    .option(
      '--openstack-credentials <file>',
      'openrc file of an application credential (else OS_* of the environment, else none)',
    );
}

export function withFollowOptions(command: Command): Command {
  return withGlanceOptions(command)
    .addOption(
      new Option(
        '--glance-follow <which>',
        'images published by themselves: marked (bootswarm=publish), active, none, or ID,ID…; else marked',
      ).argParser(parseSelection),
    )
    .addOption(
      new Option(
        '--glance-poll <seconds>',
        `how often to look for them; else ${POLL_SECONDS}`,
      ).argParser(parseSeconds),
    );
}

export function withProxyOptions(command: Command): Command {
  return withGlanceOptions(command).addOption(
    new Option(
      '--glance-proxy <host:port>',
      'serve the API of Glance there, images from the swarm; needs --glance-url',
    ).argParser(parseListenAddress),
  );
}

/** Throws OptionsError `glance-needed`, OperatorError `credentials` or `credentials-file`. */
export async function proxySettings(
  options: ProxyOptions,
  env: Terminal['env'],
): Promise<Pick<AgentOptions, 'glanceProxy' | 'openstackCredentials' | 'copiesGlance'>> {
  const { glanceProxy, glanceUrl: url, copies } = options;
  const isUrlOfUse = glanceProxy !== undefined || copies !== undefined;
  if (url === undefined ? glanceProxy !== undefined : !isUrlOfUse) {
    throw new OptionsError(
      'glance-needed',
      '--glance-proxy and --glance-url go together: where to serve, and which Glance',
      'give both, as --glance-proxy 127.0.0.1:9292 --glance-url http://CONTROLLER:9292, or neither; ' +
        '--glance-url alone goes with --copies, for copies from glance:',
    );
  }
  return {
    openstackCredentials: await openstackCredentials(options, env),
    ...(copies !== undefined && { copiesGlance: await glanceClient(options, env) }),
    ...(glanceProxy && url && { glanceProxy: { ...glanceProxy, url } }),
  };
}

/** undefined: there is no Glance. Throws OptionsError `glance-needed`, OperatorError `credentials` or `credentials-file`. */
export async function followSettings(
  options: FollowOptions,
  env: Terminal['env'],
): Promise<TrackerOptions['glance']> {
  const { glanceUrl: url, glanceFollow, glancePoll } = options;
  const credentials = await openstackCredentials(options, env);
  if (url === undefined && credentials === undefined) {
    if (glanceFollow === undefined && glancePoll === undefined) return undefined;
    throw new OptionsError(
      'glance-needed',
      '--glance-follow and --glance-poll are for a tracker that knows a Glance',
      'say where it is with --glance-url URL or --openstack-credentials FILE, or leave them out',
    );
  }
  return {
    selection: glanceFollow ?? 'marked',
    pollMs: (glancePoll ?? POLL_SECONDS) * 1_000,
    ...(url && { url }),
    ...(credentials && { credentials }),
  };
}

/** undefined: it is not told where there is a Glance. Throws OperatorError `credentials` or `credentials-file`. */
export async function glanceClient(
  options: GlanceOptions,
  env: Terminal['env'],
): Promise<GlanceClient | undefined> {
  const { glanceUrl: url } = options;
  const credentials = await openstackCredentials(options, env);
  if (credentials !== undefined) return new GlanceClient(new KeystoneSession(credentials, url));
  return url && new GlanceClient(new NoAuthSession(url));
}

/** Throws OperatorError `credentials` or `credentials-file`. */
async function openstackCredentials(
  { openstackCredentials: path }: GlanceOptions,
  env: Terminal['env'],
): Promise<Credentials | undefined> {
  return path === undefined ? credentialsFromEnvironment(env) : readCredentials(path);
}

function parseUrl(text: string): URL {
  const url = URL.parse(text.replace(/\/(v2\/?)?$/, ''));
  const isPlain = url?.username === '' && url.search === '' && url.hash === '';
  if (url !== null && isPlain && /^https?:$/.test(url.protocol)) return url;
  throw new InvalidArgumentError('Write it as http://HOST:9292, without a password.');
}

function parseSelection(text: string): GlanceSelection {
  if (text === 'marked' || text === 'active' || text === 'none') return text;
  const ids = text.toLowerCase().split(',');
  if (ids.length <= LISTED_MAX && ids.every(isGlanceImageId)) return ids;
  throw new InvalidArgumentError(
    'Give marked, active, none, or ids of images with commas between.',
  );
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d{1,5}(\.\d{1,3})?$/.test(text) && seconds > 0) return seconds;
  throw new InvalidArgumentError('Give seconds, as 15.');
}
