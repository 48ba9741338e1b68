/** A tracker in a process of its own, to be killed: `tracker-child.ts DATA`. Prints its URL when it is up. */
import { fileURLToPath } from 'node:url';
import { runTracker } from '../src/run-tracker.ts';

const { url } = await runTracker({
  dataDir: process.argv[2],
  listen: { host: '127.0.0.1', port: 0 },
  originListen: { host: '127.0.0.1', port: 0 },
  logLevel: 'silent',
  originMain: fileURLToPath(new URL('./fake-origin.ts', import.meta.url)),
});
process.stdout.write(`${url}\n`);
