import { describe, expect, it } from 'vitest';
import { leftovers } from './leftovers.ts';
import { sampleTree } from './sample-tree.ts';

/** Words in two halves, so that the repository's own check passes this file. */
const LATER = `${'TO'}DO`;
const ONLY = `.${'only'}`;
const SKIP = `.${'skip'}`;
const BIOME = `biome-${'ignore'}`;
const TS = '@ts-';

describe('leftovers', () => {
  it.each([
    [`// ${LATER}: later`, 'work put off'],
    [`/* ${'FIX'}ME */`, 'work put off'],
    [`it${ONLY}('a', () => {});`, 'a test switched on or off by hand'],
    [`describe${SKIP}('a', () => {});`, 'a test switched on or off by hand'],
    [`test.each([1])${SKIP}('a');`, 'a test switched on or off by hand'],
    [`// ${TS}${'ignore'} because the types are wrong`, '@ts-expect-error says more'],
    [`// ${TS}${'expect-error'}`, '@ts-expect-error without a reason'],
    [`// ${BIOME} lint/a/b`, 'a rule silenced without a reason'],
    [`// ${BIOME} lint/a/b: <explanation>`, 'a rule silenced without a reason'],
    [`// ${BIOME} lint/a/b: no`, 'a rule silenced without a reason'],
    [`const path = '/${'work'}/main';`, 'a path of one machine'],
  ])('finds %s', (line, message) => {
    const files = sampleTree({ 'packages/a/test/a.test.ts': `const a = 1;\n${line}\n` });
    expect(leftovers(files)).toEqual([`packages/a/test/a.test.ts:2: ${message}`]);
  });

  it('finds a path of one machine in a document', () => {
    expect(leftovers(sampleTree({ 'README.md': `see ../${'shared'}/design.md` }))).toHaveLength(1);
  });

  it('passes what only looks alike', () => {
    const text = [
      'const onlyOne = list.only;',
      'stream.skip(3);',
      `// ${TS}${'expect-error'} the type lacks maxFragments`,
      `// ${BIOME} lint/a/b: the protocol says so`,
      "const path = '/worker/networks/';",
    ];
    expect(leftovers(sampleTree({ 'packages/a/src/a.ts': text.join('\n') }))).toEqual([]);
  });
});
