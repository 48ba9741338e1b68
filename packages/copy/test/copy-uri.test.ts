import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filePathOf, httpUrlOf, imageOf, nbdExportOf, parseCopyUri } from '../src/copy-uri.ts';

const codeOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof OperatorError) return error.code;
    throw error;
  }
  return 'accepted';
};

describe('parseCopyUri', () => {
  it.each([
    ['/srv/a b.raw', '/srv/a b.raw'],
    ['./100%.raw', './100%.raw'],
    ['disk?#.raw', 'disk?#.raw'],
    ['file:disk.raw', 'disk.raw'],
    ['file:///srv/a%20b.raw', '/srv/a b.raw'],
    ['FILE://localhost/srv/a.raw', '/srv/a.raw'],
    ['a:b', 'a:b'],
    ['./swarm:x', './swarm:x'],
  ])('takes %s for the file %s', (text, path) => {
    const uri = parseCopyUri(text);
    expect(uri.scheme).toBe('file');
    expect(filePathOf(uri)).toBe(path);
  });

  it('takes any path as it is', () => {
    const name = fc.string({ minLength: 1, maxLength: 100, unit: 'binary' });
    fc.assert(
      fc.property(name, (text) => {
        const path = `/${text}`;
        fc.pre(path.isWellFormed() && !/\p{Cc}/u.test(path));
        expect(filePathOf(parseCopyUri(path))).toBe(path);
      }),
    );
  });

  it('reads the export and the socket of an NBD URI', () => {
    const uri = parseCopyUri('nbd+unix:///a%2Fb?socket=/run/x+y.sock');
    expect(nbdExportOf(uri)).toEqual({ exportName: 'a/b', socketPath: '/run/x+y.sock' });
    expect(nbdExportOf(parseCopyUri('nbd+unix://?socket=s')).exportName).toBe('');
  });

  it('shows no password and no signature', () => {
    const { shown } = parseCopyUri('https://user:secret@host/image.raw?signature=secret#secret');
    expect(shown).toBe('https://host/image.raw?…');
  });

  it('throws nothing but OperatorError, whatever it is given', () => {
    const start = fc.constantFrom(
      '',
      'file:',
      'file://',
      'http://',
      'nbd+unix:///',
      'swarm:',
      'x-y:',
    );
    fc.assert(
      fc.property(start, fc.string({ maxLength: 60, unit: 'binary' }), (scheme, rest) => {
        for (const part of [filePathOf, httpUrlOf, nbdExportOf, imageOf]) {
          expect(['accepted', 'uri-invalid']).toContain(
            codeOf(() => part(parseCopyUri(scheme + rest))),
          );
        }
      }),
    );
  });

  it.each(['', '/a\nb', '/a\0b', `/${'x'.repeat(9_000)}`])('refuses %j', (text) => {
    expect(codeOf(() => parseCopyUri(text))).toBe('uri-invalid');
  });

  it.each([
    ['file://other/a', filePathOf],
    ['file:%zz', filePathOf],
    ['http:image.raw', httpUrlOf],
    ['nbd+unix:///x', nbdExportOf],
    ['swarm:', imageOf],
    ['swarm:a/b', imageOf],
  ])('refuses %s', (text, part) => {
    expect(codeOf(() => part(parseCopyUri(text)))).toBe('uri-invalid');
  });
});
