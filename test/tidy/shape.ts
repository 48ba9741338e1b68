/** How long things are, and that each file says what it is for. The limits are STYLE.md's. */
import { finding, isNode, type Node, walk } from './syntax.ts';
import { isCode, lineAt, type SourceFile } from './tree.ts';

export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;

/** Of comments: biome wraps code at 100 and leaves comments alone. */
export const COLUMNS_MAX = 130;

export function longFiles(files: readonly SourceFile[]): string[] {
  return files.filter(isCode).flatMap(({ path, text }) => {
    const lines = text.trimEnd().split('\n').length;
    return lines > FILE_LINES_MAX ? [`${path}: ${lines} lines, ${FILE_LINES_MAX} at most`] : [];
  });
}

export function wideLines(files: readonly SourceFile[]): string[] {
  return files.filter(isCode).flatMap(({ path, text }) => {
    return text.split('\n').flatMap((line, index) => {
      if (line.length <= COLUMNS_MAX) return [];
      return [`${path}:${index + 1}: ${line.length} columns, ${COLUMNS_MAX} at most`];
    });
  });
}

export function longFunctions(files: readonly SourceFile[]): string[] {
  return files.filter(isCode).flatMap((file) => {
    const found: string[] = [];
    walk(file, (node, parent) => {
      // A method is a FunctionExpression too. A type has no body.
      if (!isNode(node.body) || !/Function/.test(node.type) || isSuite(parent)) return;
      const lines = lineAt(file.text, node.end) - lineAt(file.text, node.start) + 1;
      if (lines <= FUNCTION_LINES_MAX) return;
      found.push(finding(file, node.start, `a function of ${lines} lines`));
    });
    return found;
  });
}

/** describe(…) and describe.each(…)(…) group tests; they are no function that anybody follows from top to bottom. */
function isSuite(parent: Node | undefined): boolean {
  if (parent?.type !== 'CallExpression') return false;
  let callee = parent.callee as Node;
  while (callee.type !== 'Identifier') {
    const inner = callee.callee ?? callee.object ?? callee.tag;
    if (!isNode(inner)) return false;
    callee = inner;
  }
  return callee.name === 'describe';
}

/** Shipped code, scripts and benches open with what the file decides and what it leaves to others. */
export function missingHeaders(files: readonly SourceFile[]): string[] {
  return files
    .filter(isCode)
    .filter(({ path }) => /^(scripts|bench|(packages|apps)\/[^/]+\/(src|bin))\//.test(path))
    .filter(({ path }) => !path.endsWith('/index.ts') && !path.endsWith('.test.ts'))
    .filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text))
    .map(({ path }) => `${path}: does not open with a header comment`);
}
