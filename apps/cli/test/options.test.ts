import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseListenAddress } from '../src/listen-address.ts';
import { shellCommand } from '../src/shell-command.ts';

test.each([
  ['127.0.0.1:7420', { host: '127.0.0.1', port: 7420 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['node-1.example:65535', { host: 'node-1.example', port: 65_535 }],
])('listens on %s', (text, address) => {
  expect(parseListenAddress(text)).toEqual(address);
});

test.each(['', ':1', 'a', 'a:', 'a:65536', '::1:7420', 'a b:1', 'http://a:1', '[a:1'])(
  'refuses to listen on %o',
  (text) => {
    expect(() => parseListenAddress(text)).toThrow(/HOST:PORT/);
  },
);

test('writes a command that a shell reads back as the same arguments', () => {
  const arg = fc.string({ unit: 'binary' }).filter((text) => !/[\0\ud800-\udfff]/u.test(text));
  fc.assert(
    fc.property(fc.array(arg, { maxLength: 5 }), (args) => {
      const script = shellCommand(['printf', '%s\\0', ...args]);
      const read = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
      expect(read).toBe(args.length === 0 ? '\0' : args.map((text) => `${text}\0`).join(''));
    }),
    { numRuns: 50 },
  );
});
