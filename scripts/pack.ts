#!/usr/bin/env node
/**
 * Makes dist-pack/bootswarm-VERSION.tgz, which `npm install -g ./FILE` puts on a machine without asking a registry: the compiled
 * command, all packages that it imports, systemd units, samples and documents. pack/staging.ts decides what goes in.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stagePackage } from './pack/staging.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'dist-pack');
const staging = mkdtempSync(join(tmpdir(), 'bootswarm-pack-'));

try {
  runTool('tsc', ['-b']);
  runTool('vite', ['build', '--logLevel', 'warn'], 'apps/web');
  stagePackage(root, staging);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  const answer = execFileSync('npm', ['pack', '--json', '--ignore-scripts', staging], {
    cwd: target,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  });
  console.log(`./${join(basename(target), packedFile(answer))}`);
} finally {
  rmSync(staging, { recursive: true, force: true });
}

function runTool(name: string, args: readonly string[], directory = '.'): void {
  execFileSync(join(root, 'node_modules/.bin', name), args, {
    cwd: join(root, directory),
    // Standard output is for the name of what was packed.
    stdio: ['ignore', 2, 2],
  });
}

/** npm 12 answers with an object by name where earlier ones have a list. */
function packedFile(answer: string): string {
  const [packed] = Object.values(JSON.parse(answer) as Record<string, { filename: string }>);
  return packed.filename;
}
