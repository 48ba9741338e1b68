/** A small tree on disk, for showing that a check finds what it looks for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readTree, type SourceFile } from './tree.ts';

/** Writes `contents`, by path, to a directory that is gone afterwards, and reads them back as the checks get them. */
export function sampleTree(contents: Readonly<Record<string, string>>): SourceFile[] {
  const root = mkdtempSync(join(tmpdir(), 'bootswarm-tidy-'));
  try {
    for (const [path, text] of Object.entries(contents)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return readTree(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}
