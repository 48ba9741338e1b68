/** The first process of a lab: measures boots, and leaves what it found in the lab's directory. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BootBenchOptions, measureBoots } from './boot-lab.ts';

const [directory, options] = process.argv.slice(2);
try {
  const parsed = JSON.parse(options) as BootBenchOptions;
  const found = await measureBoots(parsed, directory, (what) => console.error(`lab: ${what}`));
  writeFileSync(join(directory, 'result.json'), JSON.stringify(found));
} catch (error) {
  console.error(`lab: ${error instanceof Error ? error.stack : error}`);
  process.exitCode = 1;
}
// Agents, tracker and origin would keep us waiting; they end with us.
process.exit();
