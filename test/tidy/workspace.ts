/** The packages and apps of the tree, and what ARCHITECTURE.md allows each of them to use. */
import type { SourceFile } from './tree.ts';

export interface PackageJson {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export interface WorkspacePackage {
  /** packages/NAME or apps/NAME. */
  readonly directory: string;
  readonly packageJson: PackageJson;
}

export function workspacePackages(files: readonly SourceFile[]): WorkspacePackage[] {
  return files.flatMap(({ path, text }) => {
    const directory = /^((?:packages|apps)\/[^/]+)\/package\.json$/.exec(path)?.[1];
    return directory === undefined
      ? []
      : [{ directory, packageJson: JSON.parse(text) as PackageJson }];
  });
}

/** The directory of the package that a path lies in, or undefined outside of all. */
export function packageDirectory(path: string): string | undefined {
  return /^(?:packages|apps)\/[^/]+(?=\/)/.exec(path)?.[0];
}

/** One row of ARCHITECTURE.md's code map. */
export interface CodeMapRow {
  readonly directory: string;
  /** Directories that the row names, words such as `packages` replaced by what they stand for. */
  readonly mayUse: readonly string[];
}

/** `test` may use everything and is no package; its row is left out. */
export function codeMap(files: readonly SourceFile[]): CodeMapRow[] {
  const text = files.find(({ path }) => path === 'ARCHITECTURE.md')?.text ?? '';
  const rows = [...text.matchAll(/^\| *((?:packages|apps)\/\S+) *\|[^|]*\|([^|]*)\|$/gm)];
  const directories = rows.map(([, directory]) => directory);
  const packages = directories.filter((directory) => directory.startsWith('packages/'));
  return rows.map(([, directory, cell]) => {
    const words = cell.trim().split(/,\s*/);
    return { directory, mayUse: words.flatMap((word) => meaning(word, packages)) };
  });
}

function meaning(word: string, packages: readonly string[]): readonly string[] {
  if (word === 'nothing') return [];
  if (word === 'packages') return packages;
  return [word.includes('/') ? word : `packages/${word}`];
}

/** A package may use what its row names, and whatever that may use. */
export function allowedUses(map: readonly CodeMapRow[], directory: string): Set<string> {
  const allowed = new Set<string>();
  const pending = [directory];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const row = map.find((candidate) => candidate.directory === next);
    for (const used of row?.mayUse ?? []) {
      if (allowed.has(used)) continue;
      allowed.add(used);
      pending.push(used);
    }
  }
  return allowed;
}
