/**
 * What FROM and TO of a copy say, taken apart: a scheme and what follows, or a path of this host as it is. Pure. What a scheme
 * can do is schemes.ts's matter.
 */
import { OperatorError } from '@bootswarm/stdx';

export interface CopyUri {
  /** Lower case, without the colon. */
  readonly scheme: string;
  /** What follows the colon, as it was given. */
  readonly rest: string;
  /** For messages, logs and the journal: without passwords, and without queries, which may be signatures. */
  readonly shown: string;
}

/** Beyond any path (PATH_MAX) and any URL that a server takes. */
const URI_CHARS_MAX = 8_192;
/** Of RFC 3986, at least two letters: one letter and a colon is a file name. */
const SCHEME = /^([a-z][a-z0-9+.-]+):(.*)$/is;

/** Throws OperatorError `uri-invalid`. */
export function parseCopyUri(text: string): CopyUri {
  if (text === '') throw invalid(text, 'it is empty');
  if (text.length > URI_CHARS_MAX)
    throw invalid(text, `it is longer than ${URI_CHARS_MAX} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(text)) throw invalid(text, 'it has control characters');
  const match = /^[./]/.test(text) ? null : SCHEME.exec(text);
  if (match === null)
    return {
      scheme: 'file',
      rest: encodeURI(text).replaceAll(/[?#]/g, encodeURIComponent),
      shown: text,
    };
  const scheme = match[1].toLowerCase();
  return { scheme, rest: match[2], shown: shownOf(scheme, match[2]) };
}

/** The path in `file:PATH`, `file:///PATH` or `file://localhost/PATH`, percent-decoded (RFC 8089). */
export function filePathOf({ rest, shown }: CopyUri): string {
  const authority = /^\/\/([^/]*)(\/.*)$/s.exec(rest);
  if (rest.startsWith('//') && authority === null)
    throw invalid(shown, 'it names a host and no path');
  if (authority !== null && !['', 'localhost'].includes(authority[1].toLowerCase())) {
    throw invalid(shown, `files of the host ${authority[1]} cannot be reached from here`);
  }
  const path = decoded(authority === null ? rest : authority[2], shown);
  if (path === '' || path.includes('\0')) throw invalid(shown, 'it names no file');
  return path;
}

export function httpUrlOf({ scheme, rest, shown }: CopyUri): URL {
  const url = URL.parse(`${scheme}:${rest}`);
  if (url === null || url.hostname === '' || !rest.startsWith('//'))
    throw invalid(shown, 'it is no http(s) URL');
  return url;
}

/** Of `nbd+unix:///EXPORT?socket=PATH`, as nbd's uri.md has it. */
export function nbdExportOf({ rest, shown }: CopyUri): { exportName: string; socketPath: string } {
  const match = /^\/\/\/?([^?]*)\?(.*)$/s.exec(rest);
  const socketPath = match && new URLSearchParams(match[2].replaceAll('+', '%2B')).get('socket');
  if (!match || !socketPath) throw invalid(shown, 'write it as nbd+unix:///EXPORT?socket=PATH');
  const exportName = decoded(match[1], shown);
  if (Buffer.byteLength(exportName) > 4_096) throw invalid(shown, 'its export name is too long');
  return { exportName, socketPath };
}

/** Of `swarm:IMAGE`, and of other schemes that name an image: an id or a name. */
export function imageOf({ rest, shown }: CopyUri): string {
  const image = decoded(rest, shown);
  if (image === '' || image.includes('/'))
    throw invalid(shown, 'what follows the colon is no id or name of an image');
  return image;
}

function decoded(text: string, shown: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(shown, 'a % in it is not followed by two hex digits of UTF-8: write it as %25');
  }
}

function shownOf(scheme: string, rest: string): string {
  if (scheme !== 'http' && scheme !== 'https') return `${scheme}:${rest}`;
  const url = URL.parse(`${scheme}:${rest}`);
  if (url === null) return `${scheme}:…`;
  url.username = '';
  url.password = '';
  url.hash = '';
  const isQueried = url.search !== '';
  url.search = '';
  return isQueried ? `${url.href}?…` : url.href;
}

function invalid(shown: string, why: string): OperatorError {
  return new OperatorError(
    'uri-invalid',
    `${JSON.stringify(shown.slice(0, 200))} cannot be copied from or to: ${why}`,
    'Give a path, or file:PATH, http(s)://HOST/PATH, nbd+unix:///EXPORT?socket=PATH, glance:ID or swarm:IMAGE.',
  );
}
