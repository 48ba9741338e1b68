/**
 * Which installed packages one workspace needs to run, by the lockfile. Decides what Node would find for each name, and where
 * that goes in a node_modules that belongs to the workspace alone; copies nothing.
 */
import { posix } from 'node:path';

export type LockedPackages = Readonly<Record<string, LockedPackage>>;

export interface LockedPackage {
  readonly name?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  /** Of a workspace's package in node_modules: a link to `resolved`. */
  readonly link?: boolean;
  readonly resolved?: string;
}

export interface NeededPackage {
  /** Where it is, and where it goes, with forward slashes. */
  readonly path: string;
  readonly to: string;
  readonly isOurs: boolean;
}

const MODULES = 'node_modules/';

export function neededPackages(locked: LockedPackages, workspace: string): NeededPackage[] {
  const needed = new Map<string, NeededPackage>();
  const open = [workspace];
  for (let from = open.pop(); from !== undefined; from = open.pop()) {
    for (const name of Object.keys(locked[from].dependencies ?? {})) {
      const found = findPackage(locked, from, name);
      const { link = false, resolved = found } = locked[found];
      const path = link ? resolved : found;
      if (needed.has(path)) continue;
      needed.set(path, { path, to: placeOf(locked, found, workspace), isOurs: link });
      open.push(path);
    }
  }
  return [...needed.values()];
}

/** As Node looks: in the node_modules of `from`, and of each directory above it. */
function findPackage(locked: LockedPackages, from: string, name: string): string {
  for (let directory = from; ; directory = posix.dirname(directory)) {
    const path = posix.join(directory, MODULES, name);
    if (path in locked) return path;
    if (directory === '.') break;
  }
  throw new Error(`${from} needs ${name}, which package-lock.json does not have: npm install`);
}

/** What is installed for one workspace alone lies below that workspace's package. */
function placeOf(locked: LockedPackages, found: string, workspace: string): string {
  const cut = found.indexOf(MODULES);
  const owner = found.slice(0, cut - 1);
  const inside = found.slice(cut);
  if (cut === 0 || owner === workspace) return inside;
  const link = Object.keys(locked).find((path) => locked[path].resolved === owner);
  if (link === undefined) throw new Error(`${found} belongs to no workspace of package-lock.json`);
  return `${link}/${inside}`;
}
