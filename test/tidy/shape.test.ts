import { describe, expect, it } from 'vitest';
import { sampleTree } from './sample-tree.ts';
import {
  COLUMNS_MAX,
  FILE_LINES_MAX,
  FUNCTION_LINES_MAX,
  longFiles,
  longFunctions,
  missingHeaders,
  wideLines,
} from './shape.ts';

const PATH = 'packages/a/src/file.ts';

function lines(count: number): string {
  return '// a line\n'.repeat(count);
}

describe('longFiles', () => {
  it('passes a file at the limit and finds one above it', () => {
    expect(longFiles(sampleTree({ [PATH]: lines(FILE_LINES_MAX) }))).toEqual([]);
    expect(longFiles(sampleTree({ [PATH]: lines(FILE_LINES_MAX + 1) }))).toEqual([
      `${PATH}: 401 lines, 400 at most`,
    ]);
  });
});

describe('wideLines', () => {
  it('passes a line at the limit and finds one above it', () => {
    const text = `//${'é'.repeat(COLUMNS_MAX - 2)}\n`;
    expect(wideLines(sampleTree({ [PATH]: text }))).toEqual([]);
    expect(wideLines(sampleTree({ [PATH]: `\n ${text}` }))).toEqual([
      `${PATH}:2: ${COLUMNS_MAX + 1} columns, ${COLUMNS_MAX} at most`,
    ]);
  });
});

describe('longFunctions', () => {
  it.each([
    ['a function', 'function f() {\n', '}'],
    ['an arrow', 'const f = () => {\n', '};'],
    ['a method', 'class A { m(a = "}", b = /[{]/) {\n', '} }'],
    ['a test', "it('works', () => {\n", '});'],
  ])('passes %s at the limit and finds one above it', (_, head, tail) => {
    const body = (count: number) => `${head}${lines(count)}${tail}\n`;
    expect(longFunctions(sampleTree({ [PATH]: body(FUNCTION_LINES_MAX - 2) }))).toEqual([]);
    expect(longFunctions(sampleTree({ [PATH]: body(FUNCTION_LINES_MAX - 1) }))).toEqual([
      `${PATH}:1: a function of 71 lines`,
    ]);
  });

  it.each(['describe("a", ', 'describe.each([1, 2])("a", '])('passes a long %s…)', (head) => {
    const text = `${head}() => {\n${lines(2 * FUNCTION_LINES_MAX)}});\n`;
    expect(longFunctions(sampleTree({ [PATH]: text }))).toEqual([]);
  });
});

describe('missingHeaders', () => {
  it('finds shipped code and scripts without one', () => {
    const text = "// Not a header.\nimport './a.ts';\n";
    const files = sampleTree({ [PATH]: text, 'scripts/do.mjs': text, 'apps/b/bin/b.mjs': text });
    expect(missingHeaders(files)).toHaveLength(3);
  });

  it('passes a header, one after #!, index files and tests', () => {
    const files = sampleTree({
      [PATH]: '/** Decides. */\n',
      'apps/b/bin/b.mjs': '#!/usr/bin/env node\n/** Starts. */\n',
      'packages/a/src/index.ts': "export * from './file.ts';\n",
      'packages/a/test/file.test.ts': "import 'vitest';\n",
    });
    expect(missingHeaders(files)).toEqual([]);
  });
});
