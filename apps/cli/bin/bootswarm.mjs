#!/usr/bin/env node
/**
 * Starts the command on a Node that can run it: this one if it is 24 or newer, else the one that npm installed with the
 * project. Plain JavaScript, so that an old Node can read it as well.
 */
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;
/** Set for the second start, so that a wrong node_modules/.bin/node cannot start us for ever. */
const RESTARTED = 'BOOTSWARM_NODE_RESTARTED';

const here = realpathSync(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) {
  delete process.env[RESTARTED];
  // A checkout runs its sources; a published package holds only dist.
  const isCheckout = existsSync(new URL('../src/main.ts', import.meta.url));
  await import(isCheckout ? '../src/main.ts' : '../dist/main.js');
} else {
  const node = process.env[RESTARTED] === undefined ? installedNode(dirname(here)) : undefined;
  if (node === undefined) {
    process.stderr.write(
      `bootswarm: needs Node ${NODE_MAJOR_MIN} or newer, and this is ${process.version} (${process.execPath})\n` +
        `  → install Node ${NODE_MAJOR_MIN}, or run npm ci in the project, which brings one along\n`,
    );
    process.exitCode = 1;
  } else {
    restart(node);
  }
}

/** node_modules/.bin/node of `from` or a directory above it. */
function installedNode(from) {
  const candidate = join(from, 'node_modules', '.bin', 'node');
  if (existsSync(candidate)) return candidate;
  return dirname(from) === from ? undefined : installedNode(dirname(from));
}

function restart(node) {
  // Before there is a child: a signal that comes as soon as it runs would end us alone, and leave it behind.
  // The terminal sends Ctrl-C to both of us; the child decides what it means.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const sockets = listeningSockets();
  const child = spawn(node, [here, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', ...sockets],
    env: {
      ...process.env,
      [RESTARTED]: '1',
      ...(sockets.length > 0 && { LISTEN_PID: '', LISTEN_PPID: String(process.pid) }),
    },
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code === null ? 128 + constants.signals[signal] : code;
  });
}

/** Those of systemd's socket units, which are meant for the child: it knows them by the process id of its parent. */
function listeningSockets() {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  if (LISTEN_PID !== String(process.pid) || !/^[1-9]$/.test(LISTEN_FDS)) return [];
  return Array.from({ length: Number(LISTEN_FDS) }, (_, index) => 3 + index);
}
