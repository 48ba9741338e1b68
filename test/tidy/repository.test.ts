/** This repository against STYLE.md and ARCHITECTURE.md. A finding names the place, a check's header what it is about. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokenLinks, malformedDecisions } from './documents.ts';
import {
  escapingImports,
  forbiddenImports,
  inexactDependencies,
  inexactReferences,
  unexplainedDependencies,
  unmappedPackages,
} from './edges.ts';
import { leftovers } from './leftovers.ts';
import { incompleteLockfile } from './lockfile.ts';
import { bannedNames, emptyNames } from './names.ts';
import { impurities } from './purity.ts';
import { longFiles, longFunctions, missingHeaders, wideLines } from './shape.ts';
import { isShipped, readTree } from './tree.ts';

const root = dirname(dirname(import.meta.dirname));
const files = readTree(root);

describe('this repository', () => {
  it('is the tree that the checks read', () => {
    expect(files.filter(isShipped).length).toBeGreaterThan(50);
  });

  it.each([
    ['imports along the edges of the code map only', forbiddenImports],
    ['reaches other packages by their names only', escapingImports],
    ['declares exactly the dependencies it imports', inexactDependencies],
    ['references exactly the packages it depends on', inexactReferences],
    ['has every package in the code map', unmappedPackages],
    ['gives a reason for every third-party package', unexplainedDependencies],
    ['has a lockfile that installs on every machine', incompleteLockfile],
    ['keeps clock, chance, sockets and promises out of -proto packages', impurities],
    ['has no file that is too long', longFiles],
    ['has no line that is too wide', wideLines],
    ['has no function that is too long', longFunctions],
    ['opens each file with what it is for', missingHeaders],
    ['has nothing left to do and nothing switched off', leftovers],
    ['has no directory or file whose name says nothing', emptyNames],
    ['uses the words of the glossary', bannedNames],
    ['has decision records of one page with all their parts', malformedDecisions],
  ])('%s', (_, check) => {
    expect(check(files)).toEqual([]);
  });

  it('has links that lead somewhere', () => {
    expect(brokenLinks(files, (path) => existsSync(join(root, path)))).toEqual([]);
  });
});
