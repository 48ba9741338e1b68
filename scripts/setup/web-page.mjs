/**
 * Builds the web page when its sources are not those it was last built from. They are compared by content, because a checkout
 * sets every file's time to now; they are few, so that costs milliseconds.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './setup-error.mjs';
import { timed } from './timed.mjs';

/** The lockfile says of which vite, Preact and uPlot it is made. */
const LOCKFILE = 'package-lock.json';
const SOURCES = 'apps/web';
const NOT_SOURCES = new Set(['dist', 'node_modules', 'test']);
/** Where the tracker looks for it; git and tidy leave every `dist` alone. */
const PAGE = 'apps/tracker/dist/web';
/** Beside the page, so that whatever empties the one loses the other. */
const STAMP = 'built-from';

/** `path` has the Node to build with. Throws SetupError when the build fails. */
export function buildWebPage(root, path) {
  const digest = digestOf(root, [LOCKFILE, ...filesBelow(root, SOURCES)]);
  const stamp = join(root, PAGE, STAMP);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  timed("builds the tracker's web page (vite)", () => runVite(root, path));
  writeFileSync(stamp, digest);
}

function runVite(root, path) {
  const program = join(root, 'node_modules', '.bin', 'vite');
  const result = spawnSync(program, ['build', '--logLevel', 'warn'], {
    cwd: join(root, 'apps', 'web'),
    // Standard output belongs to the command that the setup is for.
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, PATH: path },
  });
  if (result.error) throw new SetupError(`cannot run vite (${result.error.message})`);
  if (result.status !== 0) {
    throw new SetupError('the web page could not be built; see the message of vite above');
  }
}

function digestOf(root, places) {
  const hash = createHash('sha256');
  for (const place of places) {
    hash
      .update(`${place}\0`)
      .update(readFileSync(join(root, place)))
      .update('\0');
  }
  return hash.digest('hex');
}

function filesBelow(root, place) {
  const entries = readdirSync(join(root, place), { withFileTypes: true });
  return entries
    .filter(({ name }) => !NOT_SOURCES.has(name) && !name.endsWith('.tsbuildinfo'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${place}/${entry.name}`;
      return entry.isDirectory() ? filesBelow(root, path) : [path];
    });
}
