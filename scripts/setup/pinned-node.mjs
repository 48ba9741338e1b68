/**
 * Chooses the Node that runs the project: the one package-lock.json pins where npm has it for this machine, otherwise the
 * one that runs the setup, if that is new enough to run TypeScript as it stands.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { SetupError } from './setup-error.mjs';

const NODE_MAJOR_MIN = 24;

/** The npm package that carries this machine's Node; package-lock.json lists it for linux on x64 and arm64. */
export function pinnedNodePackage() {
  return `node-${process.platform}-${process.arch}`;
}

/**
 * Links node_modules/.bin/node where npm did not. npm 10, which comes with Node 20, links it and then removes it again together
 * with the package for the other processor, which it leaves out and which claims the same link.
 */
export function linkPinnedNode(root) {
  const modules = join(root, 'node_modules');
  const program = join(pinnedNodePackage(), 'bin', 'node');
  const link = join(modules, '.bin', 'node');
  if (existsSync(join(modules, program)) && !existsSync(link)) {
    symlinkSync(join('..', program), link);
  }
}

/** A PATH on which `node` is Node 24 or later and the project's programs come first. Throws SetupError if there is none. */
export function pathWithNode24(root) {
  const programs = join(root, 'node_modules', '.bin');
  const rest = process.env.PATH ?? '';
  if (majorVersion(join(programs, 'node')) >= NODE_MAJOR_MIN) {
    return [programs, rest].join(delimiter);
  }
  // First of all, because the pinned build may be there and unable to run: it is linked against glibc.
  const running = dirname(process.execPath);
  if (majorVersion(process.execPath) >= NODE_MAJOR_MIN) {
    return [running, programs, rest].join(delimiter);
  }
  throw new SetupError(
    `bootswarm runs on Node ${NODE_MAJOR_MIN} or later. npm has no build of it that runs on this machine ` +
      `(${pinnedNodePackage()}), and ${process.execPath} is ${process.version}. ` +
      `Install Node ${NODE_MAJOR_MIN} and start this command with it.`,
  );
}

/** 0 when there is no such program or it does not run here. */
function majorVersion(node) {
  if (isRunning(node)) return parseMajor(process.version);
  return parseMajor(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout);
}

/** True in every `npm run` but the first, which saves starting another Node. */
function isRunning(node) {
  try {
    return realpathSync(node) === realpathSync(process.execPath);
  } catch {
    return false;
  }
}

function parseMajor(version) {
  return Number(/^v(\d+)\./.exec(version ?? '')?.[1] ?? 0);
}
