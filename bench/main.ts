/** `npm run bench -- NAME [options]`: runs one benchmark. Each has a folder with a main.ts that says what it compares. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const home = fileURLToPath(new URL('.', import.meta.url));
const names = readdirSync(home, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(`${home}${entry.name}/main.ts`))
  .map(({ name }) => name);

const [name, ...options] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  process.stderr.write(
    `usage: npm run bench -- NAME [options]\nNAME is one of: ${names.join(', ')}\n`,
  );
  process.exit(2);
}
const { status } = spawnSync(process.execPath, [`${home}${name}/main.ts`, ...options], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
