/** The first process of a lab: plays one storm, leaves its result in the lab's directory, and takes everything with it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RealStormOptions, runRealStorm } from './real-storm.ts';

const [directory, options] = process.argv.slice(2);
try {
  const parsed = JSON.parse(options) as RealStormOptions;
  const result = await runRealStorm(parsed, directory, (what) => console.error(`lab: ${what}`));
  writeFileSync(join(directory, 'result.json'), JSON.stringify(result));
} catch (error) {
  console.error(`lab: ${error instanceof Error ? error.stack : error}`);
  process.exitCode = 1;
}
// Agents, tracker and origin would keep us waiting; they end with us.
process.exit();
