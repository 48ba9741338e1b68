/** The lab process of the copy benchmark: runs it in the directory that it is given and writes what it found there. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CopyLabOptions, copyInLab } from './copy-lab.ts';

const [directory, options] = process.argv.slice(2);
const found = await copyInLab(directory, JSON.parse(options) as CopyLabOptions);
writeFileSync(join(directory, 'result.json'), JSON.stringify(found));
// The daemons end with us.
process.exit(0);
