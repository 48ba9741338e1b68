#!/usr/bin/env node
/**
 * From a fresh clone to a running command: installs the npm and the Debian packages that a purpose needs, builds the web page,
 * then runs the command on the pinned Node. What is there already is not touched. Plain JavaScript, because whatever Node the
 * machine has (18 or later) runs it; everything after it runs on Node 24.
 *
 *   node scripts/setup.mjs demo|test [--then COMMAND ARGUMENT…]
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installNpmPackages } from './setup/npm-packages.mjs';
import { pathWithNode24 } from './setup/pinned-node.mjs';
import { runCommand } from './setup/run-command.mjs';
import { SetupError } from './setup/setup-error.mjs';
import { installSystemPackages, PURPOSES } from './setup/system-packages.mjs';
import { buildWebPage } from './setup/web-page.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Returns the purpose and the command, which is empty when there is nothing to run afterwards. */
function parseArguments([purpose, separator, ...command]) {
  const isComplete = separator === undefined || (separator === '--then' && command.length > 0);
  if (!PURPOSES.includes(purpose) || !isComplete) {
    throw new SetupError(
      `usage: node scripts/setup.mjs ${PURPOSES.join('|')} [--then COMMAND ARGUMENT…]`,
    );
  }
  return { purpose, command };
}

try {
  const { purpose, command } = parseArguments(process.argv.slice(2));
  installNpmPackages(root);
  installSystemPackages(purpose);
  const path = pathWithNode24(root);
  buildWebPage(root, path);
  if (command.length > 0) runCommand(command, { ...process.env, PATH: path });
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`setup: ${error.message}`);
  process.exitCode = 1;
}
