import { describe, expect, it } from 'vitest';
import { brokenLinks, malformedDecisions } from './documents.ts';
import { sampleTree } from './sample-tree.ts';

describe('brokenLinks', () => {
  function found(text: string): string[] {
    const files = sampleTree({ 'docs/page.md': text, 'README.md': '# Read me\n\n## Two words\n' });
    const paths = new Set([...files.map(({ path }) => path), 'docs/picture.png', 'docs']);
    return brokenLinks(files, (path) => paths.has(path));
  }

  it.each([
    'gone.md',
    '../docs/gone.md',
    '../../outside.md',
    '../README.md#no-such-part',
    '#nowhere',
  ])('finds %s', (target) => {
    expect(found(`# Page\n\n[a](picture.png) and [b](${target})\n`)).toEqual([
      `docs/page.md:3: ${target} leads nowhere`,
    ]);
  });

  it('passes files, directories, headings, other sites and code', () => {
    const links = ['picture.png', '../docs', '../README.md#two-words', '#page', 'https://e.org/x'];
    const text = `# Page\n${links.map((link) => `[x](${link})`).join('\n')}\n`;
    expect(found(`${text}\n\`\`\`\n[x](gone.md)\n\`\`\`\n`)).toEqual([]);
  });
});

describe('malformedDecisions', () => {
  const PARTS = '# 0001: Title\n\n## Status\n\n## Context\n\n## Decision\n\n## Consequences\n';

  it('passes one that has all parts', () => {
    expect(malformedDecisions(sampleTree({ 'docs/adr/0001-title.md': PARTS }))).toEqual([]);
  });

  it('finds a missing part, a gap in the numbers and a second page', () => {
    const files = sampleTree({
      'docs/adr/0001-title.md': PARTS.replace('## Context', '## Contexts'),
      'docs/adr/0003-other.md': PARTS + 'line\n'.repeat(60),
    });
    expect(malformedDecisions(files)).toEqual([
      'docs/adr/0001-title.md: has no part "Context"',
      'docs/adr/0003-other.md: is not number 0002',
      'docs/adr/0003-other.md: has 69 lines, more than one page',
    ]);
  });
});
