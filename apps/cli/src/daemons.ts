/**
 * Finds the daemons a command talks to: the tracker by --tracker, BOOTSWARM_TRACKER, or what this host's agent says; the
 * agent by --run or BOOTSWARM_RUN. Opens no connection.
 */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { HttpClient } from './http-client.ts';
import type { Terminal } from './terminal.ts';

/** Of the tracker's HTTP API; 7421 is its origin's. IANA has assigned neither. Agents take any port and tell the tracker. */
export const TRACKER_PORT = 7420;
export const ORIGIN_PORT = 7421;

const TRACKER_URL = `http://127.0.0.1:${TRACKER_PORT}`;
const RUN_DIR = '/run/bootswarm';

export interface TrackerOptions {
  readonly tracker?: string;
}

export interface AgentOptions {
  readonly run?: string;
}

/** Adds --tracker to a command that talks to the tracker. */
export function withTrackerOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--tracker <url>',
      `the tracker (else BOOTSWARM_TRACKER, the tracker of this host's agent, ${TRACKER_URL})`,
    ).argParser(parseTrackerUrl),
  );
}

/** As it is. Throws commander's InvalidArgumentError, with which a configuration file is refused by its line. */
function parseTrackerUrl(text: string): string {
  if (urlOf(text) !== undefined) return text;
  throw new InvalidArgumentError(`Write it as ${meant(text)}.`);
}

function urlOf(text: string): URL | undefined {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) ? url : undefined;
}

/** HOST:PORT is what other flags take. */
function meant(text: string): string {
  return (/^[\w.-]+:\d+$/.test(text) && urlOf(`http://${text}`)?.origin) || TRACKER_URL;
}

/** Adds --run to a command that talks to this host's agent. */
export function withAgentOption(command: Command): Command {
  return command.addOption(
    new Option('--run <dir>', `run directory of the agent (else BOOTSWARM_RUN, ${RUN_DIR})`),
  );
}

export function runDirectory(options: AgentOptions, env: Terminal['env']): string {
  return resolve(options.run || env.BOOTSWARM_RUN || RUN_DIR);
}

/** Without a trailing path. Throws OperatorError when what was given is no http(s) URL. */
export function trackerUrl(options: TrackerOptions, env: Terminal['env']): URL {
  const text =
    options.tracker ||
    env.BOOTSWARM_TRACKER ||
    trackerOfAgent(runDirectory({}, env)) ||
    TRACKER_URL;
  const url = urlOf(text);
  if (url !== undefined) return new URL(url.origin);
  throw new OperatorError(
    'bad-tracker-url',
    `'${text}' is not the URL of a tracker`,
    `write it as ${meant(text)}`,
  );
}

export function findTracker(options: TrackerOptions, env: Terminal['env']): HttpClient {
  const url = trackerUrl(options, env);
  return new HttpClient({
    name: 'tracker',
    endpoint: { type: 'tcp', url },
    startHint:
      'start it with bootswarm tracker, or say where it is with --tracker URL or BOOTSWARM_TRACKER',
  });
}

export function findAgent(options: AgentOptions, env: Terminal['env']): HttpClient {
  return new HttpClient({
    name: 'agent',
    endpoint: { type: 'unix', path: join(runDirectory(options, env), 'agent.sock') },
    startHint: 'start it with bootswarm agent, or say where it is with --run DIR or BOOTSWARM_RUN',
  });
}

/** Whether `url` names this machine, so that paths mean the same on both ends. */
export function isThisHost(url: URL): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost' || host === hostname()) return true;
  if (isIPv4(host) && host.startsWith('127.')) return true;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return host === '::1' || addresses.some(({ address }) => address === host);
}

/** An agent writes agent.json when it is ready; without one, or with one that makes no sense, there is no advice. */
function trackerOfAgent(runDir: string): string | undefined {
  try {
    const { trackerUrl } = JSON.parse(readFileSync(join(runDir, 'agent.json'), 'utf8'));
    return typeof trackerUrl === 'string' ? trackerUrl : undefined;
  } catch {
    return undefined;
  }
}
