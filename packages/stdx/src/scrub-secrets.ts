/**
 * Takes secrets out of a line of a log, as the last thing before it is written: whatever was logged, and in whose words, no
 * password in a URL, no query (which may be a signature), no token and no header that carries one gets out.
 */

const HIDDEN = '***';

const RULES: readonly (readonly [RegExp, string])[] = [
  // scheme://user:password@host
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"'\\]+@/gi, `$1${HIDDEN}@`],
  [/\b(https?:\/\/[^\s"'?\\]+)\?[^\s"'\\]*/gi, `$1?${HIDDEN}`],
  [/\b(bearer)\s+[a-z0-9_.~+/=-]{4,}/gi, `$1 ${HIDDEN}`],
  // Only as headers write it: the word is also a plain one.
  [/\b(Basic)\s+[A-Za-z0-9+/=]{8,}/g, `$1 ${HIDDEN}`],
  // Fields by their names, as JSON has them.
  [
    /("[\w-]*(?:token|password|passwd|secret|authorization|credential)s?"\s*:\s*)"(?:[^"\\]|\\.)*"/gi,
    `$1"${HIDDEN}"`,
  ],
];

export function scrubSecrets(line: string): string {
  return RULES.reduce((scrubbed, [secret, shown]) => scrubbed.replace(secret, shown), line);
}

/** For pino: every line goes through it. */
export const LOG_HOOKS = { streamWrite: scrubSecrets };
