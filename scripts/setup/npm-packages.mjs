/**
 * Makes node_modules match package-lock.json. npm leaves a hidden lockfile in node_modules, the last thing it writes, that
 * says what is installed; comparing the two takes milliseconds and also notices an install that somebody made by hand.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { delimiter, join, sep } from 'node:path';
import { linkPinnedNode, pinnedNodePackage } from './pinned-node.mjs';
import { SetupError } from './setup-error.mjs';
import { timed } from './timed.mjs';

/** Throws SetupError when npm is missing or fails; npm's own words are on stderr by then. */
export function installNpmPackages(root) {
  if (!isInstalled(root)) runNpm(root);
  linkPinnedNode(root);
}

function runNpm(root) {
  // Scripts of packages are not run: none of ours needs one, and one that is poisoned does its harm there.
  const npmArguments = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const options = {
    cwd: root,
    // npm talks to stderr, so that stdout belongs to the command alone.
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, PATH: pathOutside(root) },
  };
  const result = timed('installs the npm packages of package-lock.json (npm ci)', () =>
    spawnSync('npm', npmArguments, options),
  );
  if (result.error) {
    throw new SetupError(`cannot run npm (${result.error.message}); install npm and try again`);
  }
  if (result.status !== 0) throw new SetupError('npm ci failed; see its message above');
}

function isInstalled(root) {
  const wanted = readLockfile(join(root, 'package-lock.json'));
  if (wanted === undefined) throw new SetupError(`there is no package-lock.json in ${root}`);
  const installed = readLockfile(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return false;
  const pinnedNode = `node_modules/${pinnedNodePackage()}`;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = installed[path];
    // npm leaves out the optional packages of other processors and systems. Ours must be there.
    if (found === undefined) return entry.optional === true && path !== pinnedNode;
    return identity(found) === identity(entry);
  });
}

/** What decides the files of a package. `resolved` does not: it names the mirror they came from. */
function identity({ version, integrity, link }) {
  return JSON.stringify([version, integrity, link]);
}

/** The `packages` of a lockfile, or undefined when it is missing or torn. */
function readLockfile(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** PATH without the project's own node_modules/.bin: npm ci removes the Node it would otherwise run on. */
function pathOutside(root) {
  const inside = join(root, 'node_modules') + sep;
  const directories = (process.env.PATH ?? '').split(delimiter);
  return directories.filter((directory) => !directory.startsWith(inside)).join(delimiter);
}
