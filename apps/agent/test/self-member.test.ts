import { expect, test } from 'vitest';
import { isOutOfReach, selfMember } from '../src/self-member.ts';

const NAMES = { node: 'n', zone: 'z', rack: 'r' };
const memberAt = (node: string, host: string) => ({ ...NAMES, node, address: { host, port: 1 } });

test.each([
  ['10.0.0.1', undefined, '10.0.0.1'],
  ['node-1.example', undefined, 'node-1.example'],
  // The tracker puts in the address it sees.
  ['0.0.0.0', undefined, ''],
  ['::', undefined, ''],
  ['0.0.0.0', '192.0.2.7', '192.0.2.7'],
  ['10.0.0.1', 'node-1.example', 'node-1.example'],
])('that listens on %s and advertises %s is dialled at %j', (host, advertise, dialled) => {
  const member = selfMember({ ...NAMES, advertise }, { host, port: 7 });
  expect(member).toEqual({ ...NAMES, address: { host: dialled, port: 7 } });
});

test.each(['', '0.0.0.0', '::', 'a b', '10.0.0.1:7422', 'http://x', '300.1.1.1'])(
  'does not advertise %j, which nobody could dial',
  (advertise) => {
    const self = () => selfMember({ ...NAMES, advertise }, { host: '0.0.0.0', port: 7 });
    expect(self).toThrow(expect.objectContaining({ code: 'advertise-host' }));
  },
);

test('does not listen under a name that the tracker would refuse', () => {
  const self = () => selfMember(NAMES, { host: 'my_host', port: 7 });
  expect(self).toThrow(expect.objectContaining({ code: 'advertise-host' }));
});

test.each(['node', 'zone', 'rack'])('has no %s that the tracker would refuse', (what) => {
  for (const name of ['', 'a\nb', 'x'.repeat(129)]) {
    const self = () => selfMember({ ...NAMES, [what]: name }, { host: '10.0.0.1', port: 7 });
    expect(self).toThrow(expect.objectContaining({ hint: expect.stringContaining(`--${what} `) }));
  }
});

test('is out of reach when others are told its loopback address', () => {
  const [local, localToo, remote] = [
    memberAt('me', '127.0.0.1'),
    memberAt('b', '::1'),
    memberAt('c', '10.0.0.2'),
  ];
  expect(isOutOfReach('me', [local, localToo, remote])).toBe(true);
  expect(isOutOfReach('me', [local, localToo])).toBe(false);
  expect(isOutOfReach('c', [local, localToo, remote])).toBe(false);
  expect(isOutOfReach('unknown', [remote])).toBe(false);
});
