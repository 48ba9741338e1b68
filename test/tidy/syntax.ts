/**
 * Syntax trees, from the parser that vitest brings along: TypeScript 7 offers none. Nodes are ESTree's, with TypeScript's own
 * as typescript-eslint names them; the checks need types and offsets only, so nodes stay records.
 */
import { parseAst } from 'vitest/node';
import { isCode, lineAt, type SourceFile } from './tree.ts';

export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** `key` is the property of `parent` that holds `node`, directly or in an array. */
export type Visitor = (node: Node, parent: Node | undefined, key: string) => void;

const programs = new WeakMap<SourceFile, Node>();

/** Calls `visit` for every node, parents first. Throws for a file that does not parse. */
export function walk(file: SourceFile, visit: Visitor): void {
  visitBelow(program(file), undefined, '', visit);
}

function visitBelow(node: Node, parent: Node | undefined, key: string, visit: Visitor): void {
  visit(node, parent, key);
  for (const [childKey, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) visitBelow(child, node, childKey, visit);
    }
  }
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

function program(file: SourceFile): Node {
  const known = programs.get(file);
  if (known !== undefined) return known;
  const parsed = parseAst(file.text, { lang: languageOf(file) }, file.path) as unknown as Node;
  programs.set(file, parsed);
  return parsed;
}

function languageOf({ path }: SourceFile): 'js' | 'dts' | 'tsx' | 'ts' {
  if (path.endsWith('.mjs')) return 'js';
  if (path.endsWith('.d.ts')) return 'dts';
  return path.endsWith('.tsx') ? 'tsx' : 'ts';
}

/** The check's finding about a place in a file, as editors link it. */
export function finding(file: SourceFile, offset: number, message: string): string {
  return `${file.path}:${lineAt(file.text, offset)}: ${message}`;
}

export interface ImportedModule {
  readonly specifier: string;
  readonly start: number;
}

/** Every module a file names: import, export from, import(), import types, import.meta.resolve, new URL(…, import.meta.url). */
export function importedModules(file: SourceFile): ImportedModule[] {
  const found: ImportedModule[] = [];
  if (!isCode(file)) return found;
  walk(file, (node) => {
    const specifier = moduleSpecifier(node);
    if (specifier !== undefined) found.push({ specifier, start: node.start });
  });
  return found;
}

function moduleSpecifier(node: Node): string | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return stringOf(node.source);
    case 'CallExpression':
      return isImportMeta(node.callee, 'resolve') ? firstArgument(node) : undefined;
    case 'NewExpression':
      return isImportMeta((node.arguments as Node[])[1], 'url') ? firstArgument(node) : undefined;
    default:
      return undefined;
  }
}

function firstArgument(node: Node): string | undefined {
  return stringOf((node.arguments as unknown[])[0]);
}

/** True for the expression `import.meta.PROPERTY`. */
function isImportMeta(node: unknown, property: string): boolean {
  if (!isNode(node) || node.type !== 'MemberExpression') return false;
  return (node.object as Node).type === 'MetaProperty' && (node.property as Node).name === property;
}

export function stringOf(node: unknown): string | undefined {
  return isNode(node) && typeof node.value === 'string' ? node.value : undefined;
}
