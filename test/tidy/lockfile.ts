/**
 * A lockfile that every machine can install from. npm leaves out an optional package that its mirror does not have, and then
 * `npm ci` refuses the lockfile as a whole, on all machines.
 */
import type { SourceFile } from './tree.ts';

interface Lockfile {
  readonly packages: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >;
}

/** Optional packages of other processors and systems without an entry: version, os, cpu and `optional` are enough for one. */
export function incompleteLockfile(files: readonly SourceFile[]): string[] {
  const file = files.find(({ path }) => path === 'package-lock.json');
  if (file === undefined) return ['package-lock.json: is missing'];
  const { packages } = JSON.parse(file.text) as Lockfile;
  return Object.entries(packages).flatMap(([place, { optionalDependencies = {} }]) => {
    return Object.entries(optionalDependencies)
      .filter(([name]) => !(`node_modules/${name}` in packages))
      .filter(([name]) => !(`${place}/node_modules/${name}` in packages))
      .map(
        ([name, version]) => `package-lock.json: lacks ${name} ${version}, optional in ${place}`,
      );
  });
}
