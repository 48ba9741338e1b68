/** Who may depend on whom: ARCHITECTURE.md's code map against imports, package.json and tsconfig.json. */
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { finding, importedModules } from './syntax.ts';
import { isCode, isShipped, type SourceFile } from './tree.ts';
import {
  allowedUses,
  codeMap,
  packageDirectory,
  type WorkspacePackage,
  workspacePackages,
} from './workspace.ts';

/** Imports of another of our packages that the code map does not allow. */
export function forbiddenImports(files: readonly SourceFile[]): string[] {
  const map = codeMap(files);
  const directories = directoriesByName(files);
  return files.filter(isShipped).flatMap((file) => {
    const from = packageDirectory(file.path) as string;
    const allowed = allowedUses(map, from);
    return importedModules(file).flatMap(({ specifier, start }) => {
      const to = directories.get(packageName(specifier) ?? '');
      if (to === undefined || to === from || allowed.has(to)) return [];
      return [finding(file, start, `${from} may not use ${to}; ARCHITECTURE.md has the edges`)];
    });
  });
}

/**
 * Relative paths that reach into another package, where its exports do not guard it. A test may use what another package's
 * tests use: that is exported nowhere.
 */
export function escapingImports(files: readonly SourceFile[]): string[] {
  return files.filter(isCode).flatMap((file) => {
    const home = packageDirectory(file.path);
    if (home === undefined) return [];
    return importedModules(file).flatMap(({ specifier, start }) => {
      if (!specifier.startsWith('.')) return [];
      const target = posix.join(posix.dirname(file.path), specifier);
      if (packageDirectory(target) === home || (isTest(file.path) && isTest(target))) return [];
      return [finding(file, start, `${specifier} leaves ${home}`)];
    });
  });
}

function isTest(path: string): boolean {
  return /^(packages|apps)\/[^/]+\/test\//.test(path);
}

/** Dependencies that are imported and not declared, or declared and not imported. */
export function inexactDependencies(files: readonly SourceFile[]): string[] {
  return workspacePackages(files).flatMap(({ directory, packageJson }) => {
    const imported = importedPackages(files, directory);
    imported.delete(packageJson.name);
    const declared = new Set(Object.keys(packageJson.dependencies ?? {}));
    const typed = Object.keys(packageJson.devDependencies ?? {}).filter((name) => {
      return name.startsWith('@types/') && !declared.has(name.slice('@types/'.length));
    });
    const place = `${directory}/package.json`;
    return [
      ...missing(imported, declared).map((name) => `${place}: imports ${name}, undeclared`),
      ...missing(declared, imported).map((name) => `${place}: declares ${name}, never imported`),
      ...typed.map((name) => `${place}: declares ${name}, types of no dependency`),
    ];
  });
}

/** tsc -b builds in the order of the references: they must be the declared dependencies among our packages. */
export function inexactReferences(files: readonly SourceFile[]): string[] {
  const directories = directoriesByName(files);
  const all = workspacePackages(files);
  const ofPackages = all.flatMap(({ directory, packageJson }) => {
    const names = Object.keys(packageJson.dependencies ?? {});
    const used = names.flatMap((name) => directories.get(name) ?? []);
    return compareReferences(files, directory, used);
  });
  const everything = [...all.map(({ directory }) => directory), 'test'];
  return [...ofPackages, ...compareReferences(files, '', everything)];
}

function compareReferences(
  files: readonly SourceFile[],
  directory: string,
  wanted: readonly string[],
): string[] {
  const place = posix.join(directory, 'tsconfig.json');
  const text = files.find(({ path }) => path === place)?.text;
  if (text === undefined) return [`${place}: is missing`];
  const { references = [] } = JSON.parse(text) as { references?: { path: string }[] };
  const found = new Set(references.map(({ path }) => posix.join(directory, path)));
  return [
    ...missing(wanted, found).map((name) => `${place}: does not reference ${name}`),
    ...missing(found, new Set(wanted)).map((name) => `${place}: references ${name}, not used`),
  ];
}

/** Packages without a row in the code map, and rows that name nothing that exists. */
export function unmappedPackages(files: readonly SourceFile[]): string[] {
  const map = codeMap(files);
  const existing = new Set(workspacePackages(files).map(({ directory }) => directory));
  const rows = new Set(map.map(({ directory }) => directory));
  const named = map.flatMap(({ directory, mayUse }) => [directory, ...mayUse]);
  return [
    ...missing(existing, rows).map((name) => `ARCHITECTURE.md: the code map lacks ${name}`),
    ...missing(named, existing).map((name) => `ARCHITECTURE.md: there is no ${name}`),
    ...[...rows]
      .filter((name) => allowedUses(map, name).has(name))
      .map((name) => `ARCHITECTURE.md: ${name} may use itself, through others`),
  ];
}

/** Dependencies on other people's code that no ADR names in backticks, with the reason for having it. */
export function unexplainedDependencies(files: readonly SourceFile[]): string[] {
  const decisions = files.filter(({ path }) => path.startsWith('docs/adr/'));
  const ours = directoriesByName(files);
  const all: WorkspacePackage[] = workspacePackages(files);
  const root = files.find(({ path }) => path === 'package.json');
  if (root !== undefined) all.push({ directory: '.', packageJson: JSON.parse(root.text) });
  return all.flatMap(({ directory, packageJson }) => {
    const { dependencies, devDependencies, optionalDependencies } = packageJson;
    const names = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
    return names
      .filter((name) => !ours.has(name) && !name.startsWith('@types/'))
      .filter((name) => !decisions.some(({ text }) => text.includes(`\`${name}\``)))
      .map((name) => `${posix.join(directory, 'package.json')}: no ADR gives a reason for ${name}`);
  });
}

function importedPackages(files: readonly SourceFile[], directory: string): Set<string> {
  const shipped = files.filter((file) => isShipped(file) && file.path.startsWith(`${directory}/`));
  const specifiers = shipped.flatMap(importedModules).map(({ specifier }) => specifier);
  return new Set(specifiers.flatMap((specifier) => packageName(specifier) ?? []));
}

function directoriesByName(files: readonly SourceFile[]): Map<string, string> {
  return new Map(
    workspacePackages(files).map(({ directory, packageJson }) => [packageJson.name, directory]),
  );
}

/** `@scope/name/file` → `@scope/name`; undefined for relative paths and for Node's own modules. */
export function packageName(specifier: string): string | undefined {
  if (specifier.startsWith('.') || isBuiltin(specifier)) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}

/** What is in `wanted` and not in `found`, once each. */
function missing(wanted: Iterable<string>, found: ReadonlySet<string>): string[] {
  return [...new Set(wanted)].filter((name) => !found.has(name));
}
