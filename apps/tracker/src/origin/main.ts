/**
 * The origin process: `main.ts --data DIR --listen HOST:PORT`, started by the tracker and told over DIR/origin.sock what to
 * serve. Goes on when the tracker is killed, until a tracker tells it to stop or none has come back for a long time.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LOG_HOOKS } from '@bootswarm/stdx';
import pino from 'pino';
import { ControlServer } from './control-server.ts';
import { Origin } from './origin.ts';

/** Long enough for a tracker's host to be repaired, short enough that a forgotten origin ends. */
const ORPHAN_MS = 60 * 60 * 1_000;

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    listen: { type: 'string' },
    'orphan-ms': { type: 'string', default: String(ORPHAN_MS) },
  },
});
const listen = /^(.*):(\d+)$/.exec(values.listen ?? '');
if (values.data === undefined || listen === null) {
  process.stderr.write('usage: main.ts --data DIR --listen HOST:PORT [--orphan-ms MS]\n');
  process.exit(2);
}
const orphanMs = Number(values['orphan-ms']);
const log = pino({ name: 'origin', hooks: LOG_HOOKS }, pino.destination({ fd: 1, sync: false }));
const origin = new Origin({
  imagesDir: join(values.data, 'images'),
  listen: { host: listen[1].replace(/^\[(.*)\]$/, '$1'), port: Number(listen[2]) },
  log,
});

const socketPath = join(values.data, 'origin.sock');
let orphaned: NodeJS.Timeout | undefined;

async function stop(reason: string): Promise<void> {
  log.info({ reason }, 'stopping');
  control.close();
  await origin.close();
  log.flush(() => process.exit(0));
}

/** Also before the first: it may have died while we were starting. */
function trackersChanged(trackers: number): void {
  clearTimeout(orphaned);
  if (trackers === 0) orphaned = setTimeout(() => void stop('no tracker came back'), orphanMs);
}

const control = new ControlServer(
  {
    hello: () => origin.hello(),
    open: async ({ image }) => {
      await origin.open(image);
      return {};
    },
    withdraw: async ({ image }) => {
      await origin.withdraw(image);
      return {};
    },
    limit: ({ bytesPerSecond }) => {
      origin.limit(bytesPerSecond);
      return {};
    },
    stats: () => origin.stats(),
    stop: () => {
      setImmediate(() => void stop('told to'));
      return {};
    },
  },
  trackersChanged,
);

process.on('SIGTERM', () => void stop('SIGTERM'));
// The tracker's terminal is not ours: its Ctrl-C reaches us only through the tracker.
process.on('SIGINT', () => undefined);
await origin.listen();
// Whoever started us has looked for a living origin on this socket before.
rmSync(socketPath, { force: true });
process.umask(0o077);
await control.listen(socketPath);
trackersChanged(0);
log.info(origin.hello(), 'origin is up');
