/**
 * Lays out what is packed as it will be installed: `bootswarm` with a node_modules of its own that holds all it imports.
 * Decides which files go in; compiling comes before, and packing is npm's.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type LockedPackages, neededPackages } from './needed-packages.ts';

interface PackageFile {
  name: string;
  exports?: Record<string, string>;
  scripts?: unknown;
  devDependencies?: unknown;
  optionalDependencies?: unknown;
  files?: string[];
  bundleDependencies?: boolean;
  engines?: unknown;
}

const COMMAND = 'apps/cli';
/** Beside what is compiled: from, to. */
const COPIED = [
  [`${COMMAND}/bin`, 'bin'],
  [`${COMMAND}/systemd`, 'systemd'],
  ['docs', 'docs'],
  ['README.md', 'README.md'],
  ['CHANGELOG.md', 'CHANGELOG.md'],
  ['LICENSE', 'LICENSE'],
] as const;

export function stagePackage(root: string, staging: string): void {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: LockedPackages;
  };
  stageOurs(join(root, COMMAND), staging);
  for (const [from, to] of COPIED) cpSync(join(root, from), join(staging, to), { recursive: true });
  const { files = [], ...packageFile } = readPackageFile(staging);
  const all = [...new Set([...files, ...COPIED.map(([, to]) => to)])];
  writePackageFile(staging, { ...packageFile, files: all, bundleDependencies: true });
  for (const { path, to, isOurs } of neededPackages(lock.packages, COMMAND)) {
    (isOurs ? stageOurs : stageOthers)(join(root, path), join(staging, to));
  }
}

/** A workspace's package, exporting what tsc made of it. */
function stageOurs(from: string, to: string): void {
  copyCompiled(from, to, '');
  // Of the tracker: the web page, built to where its code looks for it.
  const page = join(from, 'dist/web');
  if (existsSync(page)) cpSync(page, join(to, 'dist/web'), { recursive: true });
  const {
    scripts,
    devDependencies,
    exports = {},
    files = ['dist'],
    ...kept
  } = readPackageFile(from);
  const compiled = Object.entries(exports).map(([name, path]) => [name, compiledPath(path)]);
  writePackageFile(to, { ...kept, files, exports: Object.fromEntries(compiled) });
}

/** Only what has a source still: tsc leaves in dist what it made of a file that is no more. */
function copyCompiled(from: string, to: string, directory: string): void {
  for (const entry of readdirSync(join(from, 'src', directory), { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) copyCompiled(from, to, path);
    else if (!entry.name.endsWith('.d.ts')) {
      const compiled = compiledPath(join('src', path));
      mkdirSync(dirname(join(to, compiled)), { recursive: true });
      cpSync(join(from, compiled), join(to, compiled));
    }
  }
}

function compiledPath(source: string): string {
  return source.replace(/(^|\/)src\//, '$1dist/').replace(/\.ts$/, '.js');
}

function stageOthers(from: string, to: string): void {
  const nested = join(from, 'node_modules');
  cpSync(from, to, { recursive: true, filter: (path) => path !== nested });
  // Else npm would look for them in a registry. They are native code for speed, and do without.
  const { optionalDependencies, ...kept } = readPackageFile(from);
  writePackageFile(to, kept);
}

function readPackageFile(directory: string): PackageFile {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as PackageFile;
}

function writePackageFile(directory: string, packageFile: PackageFile): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify(packageFile, null, 2)}\n`);
}
