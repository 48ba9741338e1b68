/** What must not land: work put off, tests switched off, checks silenced without a reason, paths of somebody's machine. */
import { isCode, type SourceFile } from './tree.ts';

interface Leftover {
  /** Written so that no pattern finds itself in this file. */
  readonly pattern: RegExp;
  readonly message: string;
  readonly where: (file: SourceFile) => boolean;
}

const LEFTOVERS: readonly Leftover[] = [
  { pattern: /\b(TO[D]O|FIX[M]E|XX[X])\b/, message: 'work put off', where: isCode },
  {
    pattern: /\b(it|test|describe)\b[^\n]*\.(only|skip|todo)\s*[(.`]/,
    message: 'a test switched on or off by hand',
    where: isCode,
  },
  { pattern: /@ts-(ignor[e]|nocheck)/, message: '@ts-expect-error says more', where: isCode },
  {
    pattern: /@ts-expect-erro[r](?!.*\w{3})/,
    message: '@ts-expect-error without a reason',
    where: isCode,
  },
  {
    pattern: /biome-ignor[e](?!.*:\s+(?!<explanation>)\S.{8,})/,
    message: 'a rule silenced without a reason',
    where: isCode,
  },
  // Our own notes and checkouts, which nobody else has.
  { pattern: /\/wor[k]\/|\.\.\/share[d]\b/, message: 'a path of one machine', where: () => true },
];

export function leftovers(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const patterns = LEFTOVERS.filter(({ where }) => where(file));
    return file.text.split('\n').flatMap((line, index) => {
      const found = patterns.filter(({ pattern }) => pattern.test(line));
      return found.map(({ message }) => `${file.path}:${index + 1}: ${message}`);
    });
  });
}
