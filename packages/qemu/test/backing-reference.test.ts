import { describe, expect, test } from 'vitest';
import { backingFilename, nbdUri } from '../src/backing-reference.ts';

const BACKING = { socketPath: '/run/bootswarm/nbd.sock', exportName: 'abc@vm-1' };

describe('a backing reference', () => {
  test('is a raw node over an NBD node that waits for its agent', () => {
    const name = backingFilename(BACKING);
    expect(name.startsWith('json:')).toBe(true);
    expect(JSON.parse(name.slice('json:'.length))).toEqual({
      driver: 'raw',
      file: {
        driver: 'nbd',
        server: { type: 'unix', path: '/run/bootswarm/nbd.sock' },
        export: 'abc@vm-1',
        'reconnect-delay': 300,
        'open-timeout': 300,
      },
    });
  });

  test('survives any path that a socket can have', () => {
    const socketPath = `/run/a "b" \\ , 'c' & é`;
    const name = backingFilename({ ...BACKING, socketPath });
    expect(JSON.parse(name.slice('json:'.length)).file.server.path).toBe(socketPath);
  });

  test('that no socket or no qcow2 header can hold is refused', () => {
    const path = (length: number) => ({ ...BACKING, socketPath: `/${'x'.repeat(length - 1)}` });
    expect(backingFilename(path(107))).toContain('x');
    expect(() => backingFilename(path(108))).toThrow(
      expect.objectContaining({ code: 'socket-path-too-long' }),
    );
    expect(() => backingFilename({ ...BACKING, exportName: 'x'.repeat(1000) })).toThrow(
      expect.objectContaining({ code: 'backing-name-too-long' }),
    );
  });

  test('is an NBD URI with everything escaped', () => {
    expect(nbdUri(BACKING)).toBe('nbd+unix:///abc%40vm-1?socket=%2Frun%2Fbootswarm%2Fnbd.sock');
    const uri = new URL(nbdUri({ socketPath: '/a&b=c ?#', exportName: 'x/?#%' }));
    expect(uri.searchParams.get('socket')).toBe('/a&b=c ?#');
    expect(decodeURIComponent(uri.pathname)).toBe('/x/?#%');
  });
});
