import { describe, expect, it } from 'vitest';
import {
  escapingImports,
  forbiddenImports,
  inexactDependencies,
  inexactReferences,
  packageName,
  unexplainedDependencies,
  unmappedPackages,
} from './edges.ts';
import { sampleTree } from './sample-tree.ts';

const CODE_MAP = `
| package | what it is | may use |
|---|---|---|
| packages/low | the bottom | nothing |
| packages/mid | the middle | low |
| packages/high | the top of packages | mid |
| apps/tool | a program | packages |
| test | tests | everything |
`;

function packageJson(name: string, dependencies: string[] = []): string {
  return JSON.stringify({
    name,
    dependencies: Object.fromEntries(dependencies.map((dependency) => [dependency, '1.0.0'])),
  });
}

function tsconfig(references: string[]): string {
  return JSON.stringify({ references: references.map((path) => ({ path })) });
}

/** Three packages and an app that follow every rule; `changes` breaks one. */
function workspace(changes: Record<string, string> = {}) {
  return sampleTree({
    'ARCHITECTURE.md': CODE_MAP,
    'docs/adr/0001-libraries.md': '- `ws`: WebSockets\n',
    'package.json': JSON.stringify({ name: 'workspace' }),
    'tsconfig.json': tsconfig([
      'packages/low',
      'packages/mid',
      'packages/high',
      'apps/tool',
      'test',
    ]),
    'packages/low/package.json': packageJson('@x/low'),
    'packages/low/tsconfig.json': tsconfig([]),
    'packages/low/src/index.ts': "import { hash } from 'node:crypto';\nexport { hash };\n",
    'packages/mid/package.json': packageJson('@x/mid', ['@x/low']),
    'packages/mid/tsconfig.json': tsconfig(['../low']),
    'packages/mid/src/index.ts': "export * from '@x/low';\n",
    'packages/high/package.json': packageJson('@x/high', ['@x/low', '@x/mid']),
    'packages/high/tsconfig.json': tsconfig(['../low', '../mid']),
    'packages/high/src/index.ts': "import '@x/mid';\nimport type { A } from '@x/low/a';\n",
    'apps/tool/package.json': packageJson('tool', ['@x/high', 'ws']),
    'apps/tool/tsconfig.json': tsconfig(['../../packages/high']),
    'apps/tool/src/main.ts': "import '@x/high';\nimport 'ws';\nimport './other.ts';\n",
    ...changes,
  });
}

const CHECKS = [
  forbiddenImports,
  escapingImports,
  inexactDependencies,
  inexactReferences,
  unmappedPackages,
  unexplainedDependencies,
];

describe('the edge checks', () => {
  it.each(CHECKS.map((check) => [check.name, check] as const))(
    '%s passes a clean tree',
    (_, check) => {
      expect(check(workspace())).toEqual([]);
    },
  );
});

describe('forbiddenImports', () => {
  it.each([
    ['import', "import { a } from '@x/high';"],
    ['import type', "import type { A } from '@x/high';"],
    ['export from', "export { a } from '@x/high';"],
    ['export all', "export * from '@x/high';"],
    ['import()', "const a = import('@x/high');"],
    ['an import type', "let a: import('@x/high').A;"],
    ['import.meta.resolve', "import.meta.resolve('@x/high/file.ts');"],
  ])('finds %s against the direction', (_, statement) => {
    const text = `export const one = 1;\n${statement}\n`;
    expect(forbiddenImports(workspace({ 'packages/mid/src/bad.ts': text }))).toEqual([
      'packages/mid/src/bad.ts:2: packages/mid may not use packages/high; ARCHITECTURE.md has the edges',
    ]);
  });

  it('finds an app that uses another app without leave', () => {
    const files = workspace({
      'apps/other/package.json': packageJson('other'),
      'apps/tool/src/bad.ts': "import 'other';\n",
    });
    expect(forbiddenImports(files)).toHaveLength(1);
  });
});

describe('escapingImports', () => {
  it.each([
    ['an import', "import { a } from '../../mid/src/index.ts';"],
    ['a URL', "const worker = new URL('../../mid/src/worker.ts', import.meta.url);"],
  ])('finds %s into another package', (_, statement) => {
    expect(escapingImports(workspace({ 'packages/low/src/bad.ts': statement }))).toEqual([
      `packages/low/src/bad.ts:1: ${/'(.*?)'/.exec(statement)?.[1]} leaves packages/low`,
    ]);
  });

  it("finds a test that reaches into another package's sources, not into its tests", () => {
    const files = workspace({
      'packages/low/test/bad.test.ts': "import { a } from '../../mid/src/index.ts';\n",
      'packages/low/test/good.test.ts': "import { a } from '../../mid/test/wire.ts';\n",
    });
    expect(escapingImports(files)).toEqual([
      'packages/low/test/bad.test.ts:1: ../../mid/src/index.ts leaves packages/low',
    ]);
  });
});

describe('inexactDependencies', () => {
  it('finds what is imported and not declared', () => {
    const files = workspace({ 'packages/low/src/bad.ts': "import 'ws/lib/receiver.js';\n" });
    expect(inexactDependencies(files)).toEqual([
      'packages/low/package.json: imports ws, undeclared',
    ]);
  });

  it('finds what is declared and not imported', () => {
    const files = workspace({ 'packages/low/package.json': packageJson('@x/low', ['ws']) });
    expect(inexactDependencies(files)).toEqual([
      'packages/low/package.json: declares ws, never imported',
    ]);
  });

  it('finds types of a package that is not a dependency', () => {
    const text = JSON.stringify({ name: '@x/low', devDependencies: { '@types/ws': '8.0.0' } });
    expect(inexactDependencies(workspace({ 'packages/low/package.json': text }))).toEqual([
      'packages/low/package.json: declares @types/ws, types of no dependency',
    ]);
  });
});

describe('inexactReferences', () => {
  it('finds a missing and a superfluous reference', () => {
    const files = workspace({ 'packages/mid/tsconfig.json': tsconfig(['../high']) });
    expect(inexactReferences(files)).toEqual([
      'packages/mid/tsconfig.json: does not reference packages/low',
      'packages/mid/tsconfig.json: references packages/high, not used',
    ]);
  });

  it('finds a package that the whole build leaves out', () => {
    const files = workspace({ 'packages/new/package.json': packageJson('@x/new') });
    expect(inexactReferences(files)).toEqual([
      'packages/new/tsconfig.json: is missing',
      'tsconfig.json: does not reference packages/new',
    ]);
  });
});

describe('unmappedPackages', () => {
  it('finds a package without a row and a row without a package', () => {
    const files = workspace({
      'packages/new/package.json': packageJson('@x/new'),
      'ARCHITECTURE.md': `${CODE_MAP}| packages/gone | was here | low, nowhere |\n`,
    });
    expect(unmappedPackages(files)).toEqual([
      'ARCHITECTURE.md: the code map lacks packages/new',
      'ARCHITECTURE.md: there is no packages/gone',
      'ARCHITECTURE.md: there is no packages/nowhere',
    ]);
  });

  it('finds a circle in the code map', () => {
    const map = CODE_MAP.replace('the bottom | nothing', 'the bottom | high');
    expect(unmappedPackages(workspace({ 'ARCHITECTURE.md': map }))).toContain(
      'ARCHITECTURE.md: packages/low may use itself, through others',
    );
  });
});

describe('unexplainedDependencies', () => {
  it('finds third-party packages that no decision names', () => {
    const files = workspace({
      'package.json': JSON.stringify({ name: 'workspace', devDependencies: { vitest: '1.0.0' } }),
      'apps/tool/package.json': packageJson('tool', ['@x/high', 'pino', 'ws']),
    });
    expect(unexplainedDependencies(files)).toEqual([
      'apps/tool/package.json: no ADR gives a reason for pino',
      'package.json: no ADR gives a reason for vitest',
    ]);
  });
});

describe('packageName', () => {
  it.each([
    ['ws', 'ws'],
    ['ws/lib/receiver.js', 'ws'],
    ['@x/low/src/a.ts', '@x/low'],
    ['./a.ts', undefined],
    ['node:fs', undefined],
    ['fs/promises', undefined],
  ])('of %s is %s', (specifier, name) => {
    expect(packageName(specifier)).toBe(name);
  });
});
