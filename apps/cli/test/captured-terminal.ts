/** A terminal that remembers what was written to it. */
import { PassThrough } from 'node:stream';
import type { Terminal } from '../src/terminal.ts';

export interface CapturedTerminal extends Terminal {
  readonly out: string;
  readonly err: string;
}

/** Not a TTY; its environment names no daemon that could be running here. */
export function capturedTerminal(env: Terminal['env'] = {}): CapturedTerminal {
  const written = { out: '', err: '' };
  const stdout = new PassThrough().setEncoding('utf8');
  const stderr = new PassThrough().setEncoding('utf8');
  stdout.on('data', (text) => {
    written.out += text;
  });
  stderr.on('data', (text) => {
    written.err += text;
  });
  return {
    stdout,
    stderr,
    env: { BOOTSWARM_RUN: '/nonexistent/bootswarm', ...env },
    get out() {
      return written.out;
    },
    get err() {
      return written.err;
    },
  };
}
