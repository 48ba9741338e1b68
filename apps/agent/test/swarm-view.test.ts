import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeSwarmView, encodeSwarmView } from '../src/swarm-view.ts';

const address = { host: fc.string(), port: fc.integer({ min: 1, max: 65_535 }) };
const member = fc.record({
  node: fc.string(),
  zone: fc.string(),
  rack: fc.string(),
  place: fc.nat(),
  ...address,
});
const view = fc.record({ members: fc.array(member), origins: fc.array(fc.record(address)) });
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value) ?? 'undefined');

test('comes back as it was', () => {
  fc.assert(
    fc.property(view, (given) => {
      expect(decodeSwarmView(encodeSwarmView(given))).toEqual(given);
    }),
  );
});

test('decoding never throws, whatever the bytes', () => {
  const json = fc.json().map((text) => Buffer.from(text));
  const damaged = fc
    .record({ view, at: fc.nat(), byte: fc.nat({ max: 255 }) })
    .map(({ view: given, at, byte }) => {
      const bytes = Buffer.from(encodeSwarmView(given));
      bytes[at % bytes.length] = byte;
      return bytes;
    });
  const bytes = fc.oneof(fc.uint8Array(), json, damaged);
  fc.assert(
    fc.property(bytes, (given) => {
      const decoded = decodeSwarmView(given);
      for (const { host, port } of [...(decoded?.members ?? []), ...(decoded?.origins ?? [])]) {
        expect([typeof host, port > 0 && port < 65_536]).toEqual(['string', true]);
      }
    }),
  );
});

const GOOD = { node: 'n', zone: 'z', rack: 'r', host: '10.0.0.1', port: 1, place: 0 };

test.each([
  null,
  7,
  [],
  {},
  { version: 3, members: [GOOD], origins: [] },
  { version: 2, members: GOOD, origins: [] },
  { version: 2, members: [GOOD] },
  { version: 2, members: [null], origins: [] },
  { version: 2, members: [{ ...GOOD, node: 7 }], origins: [] },
  { version: 2, members: [{ ...GOOD, rack: undefined }], origins: [] },
  { version: 2, members: [{ ...GOOD, place: -1 }], origins: [] },
  { version: 1, members: [GOOD], origins: [] },
  // Nothing that a socket would throw at.
  ...[0, -1, 65_536, 1.5, '80', null].map((port) => ({
    ...{ version: 2, members: [], origins: [{ host: '10.0.0.1', port }] },
  })),
])('is not made of %j', (value) => {
  expect(decodeSwarmView(bytesOf({ version: 2, members: [GOOD], origins: [] }))).toBeDefined();
  expect(decodeSwarmView(bytesOf(value))).toBeUndefined();
});
