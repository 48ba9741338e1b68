import { describe, expect, it } from 'vitest';
import { bannedNames, bannedWords, emptyNames } from './names.ts';
import { sampleTree } from './sample-tree.ts';

const GLOSSARY = `
| term | here it means | written as | do not say |
|---|---|---|---|
| boot order | pieces in order | bootOrder | hot list, torrentId |
| demand piece | a guest waits for it | demand | urgent |
| peer | the far end | Peer | client |
| fill | the rest | fill | |
`;

describe('emptyNames', () => {
  it.each(['packages/a/src/utils/x.ts', 'packages/a/src/string-helpers.ts', 'apps/common/x.md'])(
    'finds %s',
    (path) => {
      expect(emptyNames(sampleTree({ [path]: '' }))).toHaveLength(1);
    },
  );

  it('passes nouns of the protocol', () => {
    expect(emptyNames(sampleTree({ 'packages/a/src/piece-picker.ts': '' }))).toEqual([]);
  });
});

describe('bannedWords', () => {
  it('are the last column without what is right elsewhere', () => {
    expect(bannedWords(GLOSSARY)).toEqual(['hot list', 'torrentId', 'urgent']);
  });
});

describe('bannedNames', () => {
  it.each([
    ['a variable', 'const mostUrgent = 1;'],
    ['a constant', 'const URGENT_MAX = 1;'],
    ['a function', 'function sortHotLists() {}'],
    ['a parameter', 'const f = (torrentId: string) => 1;'],
    ['a class', 'class HotList {}'],
    ['a private member', 'class A { #urgent = 1; }'],
    ['a method', 'class A { isUrgent() {} }'],
    ['a member of a type', 'interface A { readonly torrentId: string }'],
    ['a type', 'type Urgent = 1;'],
  ])('finds %s', (_, text) => {
    const files = sampleTree({ 'GLOSSARY.md': GLOSSARY, 'packages/a/src/a.ts': text });
    expect(bannedNames(files)).toHaveLength(1);
  });

  it("passes other people's names, texts and words that merely begin alike", () => {
    const text =
      "const a = b.urgent({ urgent: 'hot list' }); const urgently = 1; const client = 2;";
    const files = sampleTree({ 'GLOSSARY.md': GLOSSARY, 'packages/a/src/a.ts': text });
    expect(bannedNames(files)).toEqual([]);
  });
});
