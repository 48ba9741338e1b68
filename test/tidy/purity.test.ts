import { describe, expect, it } from 'vitest';
import { impurities } from './purity.ts';
import { sampleTree } from './sample-tree.ts';

function found(text: string): string[] {
  const files = sampleTree({ 'packages/some-proto/src/file.ts': `${text}\nexport {};\n` });
  return impurities(files).map((line) => line.replace('packages/some-proto/src/file.ts:', ''));
}

describe('impurities', () => {
  it.each([
    ["import { readFile } from 'node:fs';", 'imports node:fs'],
    ["import { Buffer } from 'buffer';", 'imports buffer'],
    ["import type { Socket } from 'node:net';", 'imports node:net'],
    ["import ws from 'ws';", 'imports ws'],
    ['const now = Date.now();', 'uses Date'],
    ['const now = performance.now();', 'uses performance'],
    ['const chance = Math.random();', 'uses Math.random'],
    ['const { random } = Math; const x = [setTimeout];', 'uses setTimeout'],
    ['const id = setInterval(() => {}, 1);', 'uses setInterval'],
    ['const secret = process.env.SECRET;', 'uses process'],
    ['const timer = globalThis.setTimeout;', 'uses globalThis'],
    ['console.log(1);', 'uses console'],
    ['let later: Promise<void>;', 'uses Promise'],
    ['const later = async () => 1;', 'uses async'],
    ['class A { async run() {} }', 'uses async'],
    ['const a = await later;', 'uses await'],
    ['for await (const a of b) a();', 'uses await'],
    ["const a = import('./a.ts');", 'uses import()'],
    ['const a = { [Date]: 1 };', 'uses Date'],
  ])('finds %s', (code, message) => {
    expect(found(code)).toEqual([`1: pure code ${message}`]);
  });

  it('passes names of members, local modules, stdx and the codec library', () => {
    const text = `
      import { assert } from '@bootswarm/stdx';
      import { Packr } from 'msgpackr';
      import { a } from './a.ts';
      /** Not Date.now(), not process. */
      interface Machine { process(input: string): void; fetch: number }
      class M { performance = 1; process() { return this.fetch; } fetch() {} }
      const text = 'setTimeout';
      const random = Math.min(1, 2);
      export { assert, Packr, a, text, random, M, type Machine };
    `;
    expect(found(text)).toEqual([]);
  });

  it('leaves other packages and the tests of pure ones alone', () => {
    const files = sampleTree({
      'packages/some-proto/test/file.test.ts': 'const now = Date.now();',
      'packages/some-wire/src/file.ts': 'const now = Date.now();',
    });
    expect(impurities(files)).toEqual([]);
  });
});
