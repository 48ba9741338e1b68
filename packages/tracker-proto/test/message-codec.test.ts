import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import type { AgentMessage, TrackerMessage } from '../src/index.ts';
import {
  AGENT_MESSAGE_BYTES_MAX,
  BOOT_PIECES_MAX,
  decodeAgentMessage,
  decodeTrackerMessage,
  encodeAgentMessage,
  encodeTrackerMessage,
  isHost,
  isName,
  MEMBERS_MAX,
  SUSPECTS_MAX,
  TRACKER_MESSAGE_BYTES_MAX,
} from '../src/index.ts';
import {
  agentCode,
  HELLO,
  IMAGE,
  JOIN,
  MEMBERS,
  PROGRESS,
  packr,
  trackerCode,
} from './sample-messages.ts';

const image = fc.stringMatching(/^[0-9a-f]{40}$/);
const name = fc.string({ minLength: 1, maxLength: 42, unit: 'grapheme' }).filter(isName);
const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()).filter(isHost);
const address = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) });
const count = fc.maxSafeNat();
const place = fc.nat(MEMBERS_MAX - 1);
const member = fc.record({ node: name, zone: name, rack: name, address, place });

const agentMessage: fc.Arbitrary<AgentMessage> = fc.oneof(
  fc.record({
    type: fc.constant('hello' as const),
    version: fc.integer({ min: 0, max: 0xffff }),
    node: name,
    zone: name,
    rack: name,
    address: fc.record({ host: fc.oneof(host, fc.constant('')), port: fc.constant(6881) }),
  }),
  fc.record({ type: fc.constant('join' as const), image, piecesHad: fc.nat() }),
  fc.record({ type: fc.constant('leave' as const), image }),
  fc.record({
    type: fc.constant('touched' as const),
    image,
    boot: fc.nat(),
    pieceIndexes: fc.uint32Array({ maxLength: 40 }),
    isOver: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('suspect' as const),
    image,
    nodes: fc.array(name, { maxLength: SUSPECTS_MAX }),
  }),
  fc.record({
    type: fc.constant('progress' as const),
    image,
    piecesHad: fc.nat(),
    bytesFromPeers: count,
    bytesFromOrigin: count,
    bytesSent: count,
  }),
);

const trackerMessage: fc.Arbitrary<TrackerMessage> = fc.oneof(
  fc.record({
    type: fc.constant('welcome' as const),
    version: fc.constant(1),
    publisherKey: fc.stringMatching(/^[0-9a-f]{64}$/),
  }),
  fc.record({
    type: fc.constant('members' as const),
    image,
    epoch: count,
    isFull: fc.boolean(),
    members: fc.array(member, { maxLength: 20 }),
    left: fc.array(name, { maxLength: 20 }),
    origins: fc.array(address, { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('boot-order' as const),
    image,
    revision: count,
    isFull: fc.boolean(),
    kinds: fc.array(
      fc.record({
        kind: fc.nat(),
        from: fc.nat(BOOT_PIECES_MAX),
        pieceIndexes: fc.uint32Array({ maxLength: 40 }),
      }),
      { maxLength: 16 },
    ),
  }),
  fc.record({ type: fc.constant('withdrawn' as const), image }),
  fc.record({ type: fc.constant('published' as const), image }),
  fc.record({
    type: fc.constant('refused' as const),
    code: fc.constant('image-not-found'),
    message: fc.constant('No such image.'),
    image,
  }),
);

describe('round trip', () => {
  test('gives back every agent message', () => {
    fc.assert(
      fc.property(agentMessage, (message) => {
        expect(decodeAgentMessage(encodeAgentMessage(message))).toEqual(message);
      }),
    );
  });

  test('gives back every tracker message', () => {
    fc.assert(
      fc.property(trackerMessage, (message) => {
        expect(decodeTrackerMessage(encodeTrackerMessage(message))).toEqual(message);
      }),
    );
  });

  test('encodes a leave to the documented bytes', () => {
    const hex = `82a474797065a56c65617665a5696d616765d928${Buffer.from(IMAGE).toString('hex')}`;
    expect(encodeAgentMessage({ type: 'leave', image: IMAGE }).toString('hex')).toBe(hex);
  });

  test('keeps an encoded message when the next one is encoded', () => {
    const first = encodeAgentMessage({ type: 'leave', image: IMAGE });
    const copy = Buffer.from(first);
    for (let round = 0; round < 100; round += 1) encodeTrackerMessage(MEMBERS as TrackerMessage);
    expect(first).toEqual(copy);
  });

  test('fits four of the longest boot orders into one message', () => {
    const pieceIndexes = Uint32Array.from({ length: BOOT_PIECES_MAX }, (_, rank) =>
      rank % 2 === 0 ? 0 : 0xffff_ffff,
    );
    const kinds = [1, 2, 3, 4].map((kind) => ({ kind, from: 0, pieceIndexes }));
    const message = { type: 'boot-order', image: IMAGE, revision: 1, isFull: true, kinds } as const;
    const bytes = encodeTrackerMessage(message);
    expect(bytes.length).toBeLessThanOrEqual(TRACKER_MESSAGE_BYTES_MAX);
    expect(decodeTrackerMessage(bytes)).toEqual(message);
  });

  test('fits the largest change there can be into one message', () => {
    const longest = 'x'.repeat(121);
    const members = Array.from({ length: MEMBERS_MAX }, (_, index) => ({
      node: `${longest}a${String(index).padStart(6, '0')}`,
      zone: 'z'.repeat(128),
      rack: `${'r'.repeat(122)}${String(index).padStart(6, '0')}`,
      address: {
        host: `${'h'.repeat(63)}.${'h'.repeat(63)}.${'h'.repeat(63)}.${'h'.repeat(61)}`,
        port: 65_535,
      },
      place: MEMBERS_MAX - 1 - index,
    }));
    const left = members.map((each) => each.node.replace('a', 'b'));
    const origins = Array.from({ length: 16 }, () => members[0].address);
    const message = { ...MEMBERS, epoch: Number.MAX_SAFE_INTEGER, members, left, origins };
    const bytes = encodeTrackerMessage(message as TrackerMessage);
    expect(bytes.length).toBeLessThanOrEqual(TRACKER_MESSAGE_BYTES_MAX);
    expect(decodeTrackerMessage(bytes)).toEqual(message);
  });
});

describe('hostile bytes', () => {
  test('answers random bytes with a ProtocolError and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(agentCode(bytes)).not.toBe('accepted');
        expect(trackerCode(bytes)).not.toBe('accepted');
      }),
      { numRuns: 2_000 },
    );
  });

  test('answers a mutated message with a valid message or a ProtocolError', () => {
    const mutation = fc.record({ at: fc.nat(400), byte: fc.nat(255) });
    fc.assert(
      fc.property(
        agentMessage,
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (message, edits) => {
          const bytes = encodeAgentMessage(message);
          for (const { at, byte } of edits) bytes[at % bytes.length] = byte;
          if (agentCode(bytes) === 'accepted') {
            const decoded = decodeAgentMessage(bytes);
            expect(decodeAgentMessage(encodeAgentMessage(decoded))).toEqual(decoded);
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test('refuses a message cut off at any byte, and one with a byte too many', () => {
    for (const message of [HELLO, JOIN, PROGRESS] as AgentMessage[]) {
      const bytes = encodeAgentMessage(message);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(agentCode(bytes.subarray(0, length))).toBe('message-malformed');
      }
      expect(agentCode(Buffer.concat([bytes, Buffer.of(0xc0)]))).toBe('message-malformed');
    }
  });

  const extensions = [0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8];
  test('refuses every extension type in every encoding, alone and as a value', () => {
    for (const token of extensions) {
      for (let type = 0; type <= 0xff; type += 1) {
        const length =
          token === 0xc7 ? [1] : token === 0xc8 ? [0, 1] : token === 0xc9 ? [0, 0, 0, 1] : [];
        const extension = Buffer.of(token, ...length, type, ...new Array(16).fill(0));
        expect(agentCode(extension)).toBe('extension-refused');
        expect(agentCode(Buffer.concat([Buffer.of(0x81, 0xa1, 0x61), extension]))).toBe(
          'extension-refused',
        );
      }
    }
  });

  test('refuses what msgpackr itself would write for records, dates, sets and bigints', () => {
    const records = new Packr({ useRecords: true, moreTypes: true, structuredClone: true });
    for (const value of [
      new Date(),
      new Set([1]),
      /x/,
      new Error('x'),
      new Uint8Array(4),
      2n ** 63n,
    ]) {
      expect(agentCode(records.pack({ ...JOIN, piecesHad: value }))).not.toBe('accepted');
    }
    expect(agentCode(records.pack(JOIN))).not.toBe('accepted');
    expect(agentCode(new Packr({ bundleStrings: true, useRecords: false }).pack(JOIN))).not.toBe(
      'accepted',
    );
  });

  test('refuses nesting beyond 16 levels without recursion', () => {
    for (const opener of [[0x91], [0xdc, 0, 1], [0x81, 0xa0]]) {
      for (const depth of [17, 5_000, 20_000]) {
        const bytes = Buffer.concat([
          ...new Array(depth).fill(Buffer.from(opener)),
          Buffer.of(0xc0),
        ]);
        expect(agentCode(bytes)).toBe(
          bytes.length > AGENT_MESSAGE_BYTES_MAX ? 'message-too-long' : 'message-too-deep',
        );
      }
    }
    expect(agentCode(Buffer.concat([Buffer.alloc(16, 0x91), Buffer.of(0xc0)]))).toBe(
      'field-invalid',
    );
  });

  test('refuses declared lengths that the bytes cannot hold, before it allocates', () => {
    for (const token of [0xdb, 0xdd, 0xdf]) {
      for (const length of [0xffffffff, 0x80000000, 0x7fffffff, 100]) {
        const bytes = Buffer.alloc(10, 0xc0);
        bytes[0] = token;
        bytes.writeUInt32BE(length, 1);
        expect(agentCode(bytes)).toBe('message-malformed');
      }
    }
    for (const token of [0xd9, 0xda, 0xdc, 0xde]) {
      expect(agentCode(Buffer.of(token, 0xff, 0xff))).toBe('message-malformed');
    }
  });

  test('refuses binary where none belongs, the unused token and keys that are not strings', () => {
    expect(agentCode(Buffer.of(0xc1, 0, 0, 0, 0))).toBe('message-malformed');
    for (const binary of ['c400', 'c401ff', 'c5000100', 'c600000000']) {
      const inJoin = Buffer.concat([packr.pack(JOIN).subarray(0, -1), Buffer.from(binary, 'hex')]);
      expect(agentCode(inJoin)).toBe('field-invalid');
      const keyed = Buffer.concat([Buffer.of(0x81), Buffer.from(binary, 'hex'), Buffer.of(0)]);
      expect(agentCode(keyed)).toBe('key-not-string');
    }
    for (const cut of ['c4', 'c402ff', 'c50001', 'c6ffffffff00']) {
      expect(agentCode(Buffer.from(cut, 'hex'))).toBe('message-malformed');
    }
    for (const key of [0x01, 0xc0, 0xc3, 0x90, 0x80, 0xcb]) {
      expect(agentCode(Buffer.of(0x81, key, 0, 0, 0, 0, 0, 0, 0, 0, 0))).toBe('key-not-string');
    }
  });

  test('refuses a message that is too long, by its length alone', () => {
    expect(agentCode(Buffer.alloc(AGENT_MESSAGE_BYTES_MAX + 1))).toBe('message-too-long');
    expect(agentCode(Buffer.alloc(AGENT_MESSAGE_BYTES_MAX))).toBe('message-malformed');
    expect(trackerCode(Buffer.alloc(TRACKER_MESSAGE_BYTES_MAX + 1))).toBe('message-too-long');
  });

  test('refuses keys that name what every object inherits, and leaves prototypes alone', () => {
    for (const key of ['__proto__', '__proto_', 'constructor', 'toString', 'hasOwnProperty']) {
      const map = packr.pack(JOIN);
      const extra = Buffer.concat([packr.pack(key), packr.pack({ polluted: true })]);
      map[0] += 1;
      expect(agentCode(Buffer.concat([map, extra]))).toBe('field-unknown');
    }
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(agentCode(packr.pack({ constructor: 1 }))).toBe('field-missing');
  });

  test('refuses a key sent twice, in the message and in its address', () => {
    const repeated = Buffer.concat([packr.pack(JOIN), packr.pack('piecesHad'), packr.pack(7)]);
    repeated[0] += 1;
    expect(agentCode(repeated)).toBe('field-repeated');
    const hello = packr.pack({ ...HELLO, address: { host: 'a', port: 1 } });
    const inner = Buffer.concat([hello, packr.pack('port'), packr.pack(2)]);
    inner[inner.indexOf('address') + 7] += 1;
    expect(agentCode(inner)).toBe('field-repeated');
  });
});
