import { describe, expect, it } from 'vitest';
import { sampleTree } from './sample-tree.ts';
import { isShipped } from './tree.ts';

describe('readTree', () => {
  it('reads text files in order and leaves out what is installed, built or no text', () => {
    const files = sampleTree({
      'packages/b/src/index.ts': 'export {};\n',
      'packages/b/dist/index.js': 'built',
      'packages/b/node_modules/ws/index.ts': 'installed',
      '.turbo/log.md': 'cached',
      '.git': 'gitdir: elsewhere\n',
      '.ci/run': '#!/bin/sh\n',
      'docs/picture.png': 'no text',
      'ARCHITECTURE.md': '# Architecture\n',
    });

    expect(files.map(({ path }) => path)).toEqual([
      '.ci/run',
      'ARCHITECTURE.md',
      'packages/b/src/index.ts',
    ]);
    expect(files[1].text).toBe('# Architecture\n');
  });

  it('tells shipped code from tests', () => {
    const files = sampleTree({
      'apps/a/bin/a.mjs': '',
      'packages/b/src/deep/file.ts': '',
      'packages/b/test/file.test.ts': '',
      'scripts/test.ts': '',
    });

    expect(files.filter(isShipped).map(({ path }) => path)).toEqual([
      'apps/a/bin/a.mjs',
      'packages/b/src/deep/file.ts',
    ]);
  });
});
