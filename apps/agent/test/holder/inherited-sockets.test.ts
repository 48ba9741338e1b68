import fc from 'fast-check';
import { expect, test } from 'vitest';
import { inheritedSockets } from '../../src/holder/inherited-sockets.ts';

const IDS = { pid: 20, ppid: 10 };

test.each([
  [{}, undefined],
  [{ LISTEN_PID: '20', LISTEN_FDS: '1', LISTEN_FDNAMES: 'nbd' }, { nbd: 3 }],
  [{ LISTEN_PID: '20', LISTEN_FDS: '1' }, { nbd: 3 }],
  [{ LISTEN_PID: '20', LISTEN_FDS: '1', LISTEN_FDNAMES: 'agent.socket' }, { nbd: 3 }],
  [{ LISTEN_PID: '20', LISTEN_FDS: '1', LISTEN_FDNAMES: 'peers' }, { peers: 3 }],
  [
    { LISTEN_PPID: '10', LISTEN_FDS: '2', LISTEN_FDNAMES: 'nbd:peers' },
    { nbd: 3, peers: 4 },
  ],
  [
    { LISTEN_PID: '20', LISTEN_FDS: '2', LISTEN_FDNAMES: 'peers:nbd' },
    { peers: 3, nbd: 4 },
  ],
  [
    { LISTEN_PPID: '10', LISTEN_FDS: '3', LISTEN_FDNAMES: 'nbd:peers:fuse' },
    { nbd: 3, peers: 4, fuse: 5 },
  ],
])('%j gives %j', (env, sockets) => {
  expect(inheritedSockets(env, IDS)).toEqual(sockets);
});

test('sockets of another process are left alone', () => {
  for (const other of [{ LISTEN_PID: '21' }, { LISTEN_PPID: '20' }, {}]) {
    const env = { ...other, LISTEN_FDS: '1', LISTEN_FDNAMES: 'nbd' };
    expect(inheritedSockets(env, IDS)).toBeUndefined();
  }
});

test.each([
  { LISTEN_FDS: '0' },
  { LISTEN_FDS: '3', LISTEN_FDNAMES: 'nbd:peers:peers' },
  { LISTEN_FDS: '1e0' },
  { LISTEN_FDS: '2' },
  { LISTEN_FDS: '2', LISTEN_FDNAMES: 'nbd' },
  { LISTEN_FDS: '2', LISTEN_FDNAMES: 'nbd:nbd' },
  { LISTEN_FDS: '2', LISTEN_FDNAMES: 'nbd:control' },
  { LISTEN_FDS: '1', LISTEN_FDNAMES: 'peers:nbd' },
])('%j is refused', (env) => {
  expect(() => inheritedSockets({ LISTEN_PID: '20', ...env }, IDS)).toThrow(
    /Cannot use the sockets/,
  );
});

test('whatever the environment says, it is descriptors from 3 on or a refusal', () => {
  const text = fc.oneof(
    fc.constantFrom('1', '2', '3', 'nbd', 'peers', 'nbd:peers', 'fuse:nbd:peers'),
    fc.string(),
  );
  fc.assert(
    fc.property(text, text, (LISTEN_FDS, LISTEN_FDNAMES) => {
      try {
        const found = inheritedSockets({ LISTEN_PID: '20', LISTEN_FDS, LISTEN_FDNAMES }, IDS)!;
        const fds = Object.values(found).sort();
        expect(fds).toEqual([3, 4, 5].slice(0, Number(LISTEN_FDS)));
      } catch (error) {
        expect(error).toMatchObject({ code: 'inherited-sockets' });
      }
    }),
  );
});
