/** Markdown: links that lead somewhere, and decision records that have their four parts on one page. */
import { posix } from 'node:path';
import type { SourceFile } from './tree.ts';

/** About one printed page. */
const DECISION_LINES_MAX = 60;
const DECISION_PARTS = ['Status', 'Context', 'Decision', 'Consequences'];

/** `exists` tells whether a path relative to the root is a file or directory: links lead to pictures too. */
export function brokenLinks(
  files: readonly SourceFile[],
  exists: (path: string) => boolean,
): string[] {
  return files.filter(isMarkdown).flatMap((file) => {
    return proseLines(file.text).flatMap(({ line, number }) => {
      const targets = [...line.matchAll(/\]\(([^()\s]+)\)/g)].map(([, target]) => target);
      return targets
        .filter((target) => !leadsSomewhere(files, file, target, exists))
        .map((target) => `${file.path}:${number}: ${target} leads nowhere`);
    });
  });
}

function leadsSomewhere(
  files: readonly SourceFile[],
  file: SourceFile,
  target: string,
  exists: (path: string) => boolean,
): boolean {
  if (/^[a-z]+:/.test(target)) return true;
  const [path, anchor] = target.split('#');
  const place = path === '' ? file.path : posix.join(posix.dirname(file.path), path);
  if (place.startsWith('..') || !exists(place)) return false;
  if (anchor === undefined || !place.endsWith('.md')) return true;
  const page = files.find((candidate) => candidate.path === place);
  return page !== undefined && anchors(page.text).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchors(text: string): string[] {
  const headings = proseLines(text).flatMap(({ line }) => /^#+\s+(.*)$/.exec(line)?.[1] ?? []);
  return headings.map((heading) => {
    return heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
  });
}

/** The lines outside fenced code, numbered from 1. */
function proseLines(text: string): { line: string; number: number }[] {
  let isCode = false;
  return text.split('\n').flatMap((line, index) => {
    const isFence = /^\s*(```|~~~)/.test(line);
    if (isFence) isCode = !isCode;
    return isCode || isFence ? [] : [{ line, number: index + 1 }];
  });
}

/** docs/adr: numbered from 0001 without a gap, each of one page with all its parts. */
export function malformedDecisions(files: readonly SourceFile[]): string[] {
  const records = files.filter((file) => isMarkdown(file) && file.path.startsWith('docs/adr/'));
  return records.flatMap(({ path, text }, index) => {
    const number = String(index + 1).padStart(4, '0');
    const problems = DECISION_PARTS.filter((part) => !text.includes(`\n## ${part}\n`)).map(
      (part) => `has no part "${part}"`,
    );
    if (!posix.basename(path).startsWith(`${number}-`)) problems.push(`is not number ${number}`);
    const lines = text.trimEnd().split('\n').length;
    if (lines > DECISION_LINES_MAX) problems.push(`has ${lines} lines, more than one page`);
    return problems.map((problem) => `${path}: ${problem}`);
  });
}

function isMarkdown({ path }: SourceFile): boolean {
  return path.endsWith('.md');
}
