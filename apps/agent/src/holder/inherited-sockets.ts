/**
 * Which listening sockets this process was started with: systemd's protocol of sd_listen_fds(3), descriptors from 3 on and their
 * names in the environment. A socket holder speaks it too, except that it cannot know the child's process id beforehand and
 * gives its own as LISTEN_PPID.
 */
import { OperatorError } from '@bootswarm/stdx';

/** Descriptors. A socket that is not given is bound by the agent itself. */
export interface InheritedSockets {
  readonly nbd?: number;
  readonly peers?: number;
  /** /dev/fuse, of a directory that is mounted. */
  readonly fuse?: number;
}

export interface ProcessIds {
  readonly pid: number;
  readonly ppid: number;
}

export const SOCKET_NAMES = ['nbd', 'peers', 'fuse'] as const;
const FD_FIRST = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_PPID', 'LISTEN_FDS', 'LISTEN_FDNAMES'];

/**
 * Undefined when there are none, or when they are meant for another process. A socket that stands alone is the NBD one, whatever
 * its name: systemd calls it after its unit. Throws OperatorError `inherited-sockets`.
 */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>>,
  { pid, ppid }: ProcessIds,
): InheritedSockets | undefined {
  const { LISTEN_PID, LISTEN_PPID, LISTEN_FDS, LISTEN_FDNAMES } = env;
  if (LISTEN_FDS === undefined) return undefined;
  if (LISTEN_PID !== `${pid}` && LISTEN_PPID !== `${ppid}`) return undefined;
  if (!/^[123]$/.test(LISTEN_FDS)) {
    throw refused(`LISTEN_FDS is ${JSON.stringify(LISTEN_FDS.slice(0, 20))}, not 1 to 3`);
  }
  const count = Number(LISTEN_FDS);
  const names = (LISTEN_FDNAMES ?? '').split(':');
  if (count === 1 && names[0] !== 'peers') return { nbd: FD_FIRST };
  const found: { nbd?: number; peers?: number; fuse?: number } = {};
  for (const [index, name] of names.entries()) {
    const known = SOCKET_NAMES.find((each) => each === name);
    if (known === undefined || found[known] !== undefined || index >= count) {
      throw refused(`LISTEN_FDNAMES is ${JSON.stringify(names.join(':').slice(0, 80))}`);
    }
    found[known] = FD_FIRST + index;
  }
  if (names.length !== count) throw refused(`${count} sockets have ${names.length} names`);
  return found;
}

/** What this process starts is not to take its sockets for its own. */
export function withoutListenVariables(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const rest = { ...env };
  for (const name of VARIABLES) delete rest[name];
  return rest;
}

function refused(what: string): OperatorError {
  return new OperatorError(
    'inherited-sockets',
    `Cannot use the sockets this agent was started with: ${what}`,
    'Name them nbd and peers (FileDescriptorName= in the socket units), each at most once.',
  );
}
