/** Loaded into an agent with NODE_OPTIONS=--import: SIGUSR2 gets its event loop stuck for good. */
import { writeSync } from 'node:fs';

process.on('SIGUSR2', () => {
  writeSync(2, 'the event loop is stuck now\n');
  for (;;);
});
