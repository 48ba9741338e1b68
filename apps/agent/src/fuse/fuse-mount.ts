/**
 * Mounts a FUSE directory: opens /dev/fuse and has mount(8) give the kernel that descriptor. Whoever holds the descriptor keeps
 * the mount alive, served or not. A mount that nobody holds any more is taken away first.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { READ_LENGTH_MAX } from '@bootswarm/fuse-proto';
import { messageOf, OperatorError } from '@bootswarm/stdx';

export interface FuseMount {
  /** Of /dev/fuse, not blocking. */
  readonly fd: number;
  /** Takes the directory away; programs that have files open in it get ENOTCONN once all descriptors are closed. */
  unmount(): void;
}

const DEVICE = '/dev/fuse';
/** In the first column of /proc/mounts. */
const SOURCE = 'bootswarm';
/** The descriptor as mount(8) sees it. */
const CHILD_FD = 3;
/** A directory whose server is alive and busy, or is not there and held. */
const LOOK_TIMEOUT_MS = 3_000;

/**
 * Mounted rw, although nothing can be written: with ro, utime(2) would be refused, which ends Nova's spawn. allow_other: Nova,
 * libvirt and QEMU are three users. `openFilesDir` held the files that were open in a mount before, and is emptied. Throws
 * OperatorError `fuse-unavailable` or `fuse-directory-in-use`.
 */
export function mountFuse(directory: string, openFilesDir: string): FuseMount {
  takeAwayStale(directory);
  rmSync(openFilesDir, { recursive: true, force: true });
  const fd = opened(directory);
  const options = [
    ...['rw', 'nosuid', 'nodev', 'noexec', 'allow_other', 'default_permissions'],
    ...['rootmode=40000', 'user_id=0', 'group_id=0'],
    ...[`fd=${CHILD_FD}`, `max_read=${READ_LENGTH_MAX}`],
  ];
  const { status, stderr, error } = spawnSync(
    'mount',
    ['-i', '-t', 'fuse', '-o', options.join(','), SOURCE, directory],
    { stdio: ['ignore', 'ignore', 'pipe', fd], encoding: 'utf8' },
  );
  if (status === 0) return { fd, unmount: () => unmount(directory) };
  closeSync(fd);
  throw unavailable(directory, error?.message ?? stderr.trim());
}

function opened(directory: string): number {
  try {
    makeForAll(directory);
    return openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    throw unavailable(directory, messageOf(error));
  }
}

/** With what is above it, whatever the umask: Nova and QEMU are users of their own. What is there already stays as it is. */
export function makeForAll(directory: string): void {
  const first = mkdirSync(directory, { recursive: true });
  if (first === undefined) return;
  for (let at = directory; at !== dirname(first); at = dirname(at)) chmodSync(at, 0o755);
}

function unmount(directory: string): void {
  spawnSync('umount', ['-l', directory], { stdio: 'ignore' });
}

function takeAwayStale(directory: string): void {
  const mounted = mountedAt(directory);
  if (mounted === undefined) return;
  const isOurs = mounted.type === 'fuse' && mounted.source === SOURCE;
  if (!isOurs || !isDead(directory)) {
    throw new OperatorError(
      'fuse-directory-in-use',
      `Cannot serve images in ${directory}: ${mounted.source} (${mounted.type}) is mounted there`,
      `Give another directory, or stop what serves it and run: umount -l ${directory}`,
    );
  }
  unmount(directory);
}

/** The mount on top, when there are several. */
function mountedAt(directory: string): { type: string; source: string } | undefined {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const found = lines
    .map((line) => line.split(' '))
    .findLast(([, at]) => unescaped(at) === directory);
  return found && { source: found[0], type: found[2] };
}

/** A blank is \040. */
function unescaped(path: string | undefined): string | undefined {
  return path?.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** Asked in another process: if a descriptor is held that nobody reads from, the answer never comes. */
function isDead(directory: string): boolean {
  const { stderr } = spawnSync('stat', ['-c', '%i', directory], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
    timeout: LOOK_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  return /not connected/.test(stderr);
}

function unavailable(directory: string, reason: string): OperatorError {
  return new OperatorError(
    'fuse-unavailable',
    `Cannot mount a FUSE directory at ${directory}: ${reason}`,
    'It takes root, /dev/fuse (modprobe fuse) and an empty directory; under systemd, the drop-in ' +
      'bootswarm-agent-fuse.conf. Or start the agent without --fuse.',
  );
}
