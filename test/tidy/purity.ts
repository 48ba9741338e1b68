/**
 * What a package whose name ends in -proto must not touch: no module of Node, no clock, no timer, no chance, no promise. That
 * is why the engine runs the same on sockets and in a simulated network.
 */
import { isBuiltin } from 'node:module';
import { packageName } from './edges.ts';
import { finding, importedModules, type Node, walk } from './syntax.ts';
import { isShipped, type SourceFile } from './tree.ts';

/** What pure code may import beside its own files. */
const PURE_MODULES: Readonly<Record<string, string>> = {
  '@bootswarm/stdx': 'is pure itself',
  msgpackr: 'turns values into bytes and back',
};

const IMPURE_GLOBALS = new Set([
  ...['Date', 'performance', 'Promise', 'process', 'console', 'fetch', 'WebSocket', 'crypto'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval'],
  ...['queueMicrotask', 'globalThis', 'global', 'require', 'Worker', 'Atomics'],
]);

export function impurities(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => isShipped(file) && /^packages\/[^/]+-proto\//.test(file.path))
    .flatMap((file) => [...impureImports(file), ...impureCode(file)]);
}

function impureImports(file: SourceFile): string[] {
  return importedModules(file)
    .filter(({ specifier }) => {
      const name = packageName(specifier);
      return isBuiltin(specifier) || (name !== undefined && !(name in PURE_MODULES));
    })
    .map(({ specifier, start }) => finding(file, start, `pure code imports ${specifier}`));
}

function impureCode(file: SourceFile): string[] {
  const found: string[] = [];
  walk(file, (node, parent, key) => {
    const what = impurity(node, parent, key);
    if (what !== undefined) found.push(finding(file, node.start, `pure code uses ${what}`));
  });
  return found;
}

function impurity(node: Node, parent: Node | undefined, key: string): string | undefined {
  if (node.async === true) return 'async';
  if (node.type === 'AwaitExpression' || node.await === true) return 'await';
  if (node.type === 'ImportExpression') return 'import()';
  if (node.type === 'MemberExpression') {
    const { object, property } = node as unknown as { object: Node; property: Node };
    return object.name === 'Math' && property.name === 'random' ? 'Math.random' : undefined;
  }
  if (node.type !== 'Identifier' || isMemberName(parent, key)) return undefined;
  return IMPURE_GLOBALS.has(node.name as string) ? (node.name as string) : undefined;
}

/** True for the NAME of x.NAME, of { NAME: x } and of a member of a class or type, which is no variable. */
function isMemberName(parent: Node | undefined, key: string): boolean {
  return (key === 'property' || key === 'key') && parent?.computed !== true;
}
