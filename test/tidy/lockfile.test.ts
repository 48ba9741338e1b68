import { expect, it } from 'vitest';
import { incompleteLockfile } from './lockfile.ts';
import { sampleTree } from './sample-tree.ts';

function found(packages: Record<string, object>): string[] {
  return incompleteLockfile(sampleTree({ 'package-lock.json': JSON.stringify({ packages }) }));
}

const TOOL = {
  version: '1.0.0',
  optionalDependencies: { 'tool-linux': '1.0.0', 'tool-mac': '1.0.0' },
};

it('finds an optional package that npm left out', () => {
  expect(found({ 'node_modules/tool': TOOL, 'node_modules/tool-linux': {} })).toEqual([
    'package-lock.json: lacks tool-mac 1.0.0, optional in node_modules/tool',
  ]);
});

it('passes optional packages beside and below the one that names them', () => {
  const below = 'node_modules/tool/node_modules/tool-mac';
  const packages = { 'node_modules/tool': TOOL, 'node_modules/tool-linux': {}, [below]: {} };
  expect(found(packages)).toEqual([]);
});

it('finds that there is none', () => {
  expect(incompleteLockfile(sampleTree({}))).toEqual(['package-lock.json: is missing']);
});
