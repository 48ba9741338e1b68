/** The text files of a tree, as the checks see them: without what is installed, built or cached. */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

const NOT_OURS = new Set(['node_modules', 'dist', 'dist-pack', '.git', '.turbo', '.bootswarm']);

/** An extension that is missing here belongs to files without text, or to files that no check reads. */
const TEXT_EXTENSIONS = new Set([
  '.ts',
  '.tsx',
  '.mjs',
  '.json',
  '.md',
  '.html',
  '.css',
  '.py',
  '.sh',
  '',
]);

/** In the order of their paths. */
export function readTree(root: string): SourceFile[] {
  return filePaths(root, '')
    .filter((path) => TEXT_EXTENSIONS.has(extname(path)))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

function filePaths(root: string, directory: string): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
    // A linked work tree of git has a file of this name.
    if (NOT_OURS.has(entry.name)) return [];
    if (entry.isDirectory()) return filePaths(root, path);
    return entry.isFile() ? [path] : [];
  });
}

/** Code that we run or publish, and the programs around it. */
export function isCode({ path }: SourceFile): boolean {
  return /\.(ts|tsx|mjs)$/.test(path);
}

/** Code of packages and apps that lands in their users' hands: not their tests. */
export function isShipped(file: SourceFile): boolean {
  return isCode(file) && /^(packages|apps)\/[^/]+\/(src|bin)\//.test(file.path);
}

export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
