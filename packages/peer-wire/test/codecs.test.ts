import { ProtocolError } from '@bootswarm/stdx';
import { PIECE_CLASSES } from '@bootswarm/swarm-proto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseExtendedHandshake } from '../src/extended-handshake.ts';
import {
  decodeHaveBatch,
  decodePing,
  decodePriority,
  decodeRedirect,
  encodeHaveBatch,
  encodePing,
  encodePriority,
  encodeRedirect,
  HAVE_BATCH_MAX,
  PING_PADDING_MAX,
} from '../src/extension-messages.ts';
import { makePeerId } from '../src/index.ts';
import { decodeName } from '../src/node-name.ts';
import { hex, OUR_IDS, toHex } from './messages.ts';

const PIECE_COUNT = 1 << 20;
const PIECES = fc.nat({ max: PIECE_COUNT - 1 });
const UINT32_MAX = 0xffff_ffff;

describe('bs_have', () => {
  it.each([
    ['one piece', [5], '00000005'],
    ['two neighbours', [5, 6], '00000005 00000006'],
    ['three neighbours as a run', [5, 6, 7], '80000005 00000003'],
    ['runs and single pieces', [9, 0, 1, 2, 3, 7], '00000009 80000000 00000004 00000007'],
    ['neighbours in descending order', [3, 2, 1], '00000003 00000002 00000001'],
  ])('carries %s', (_, pieceIndexes, bytes) => {
    expect(toHex(encodeHaveBatch(pieceIndexes))).toBe(toHex(hex(bytes)));
    expect(decodeHaveBatch(hex(bytes), 10)).toEqual(pieceIndexes);
  });

  it('brings back any batch', () => {
    const batches = fc.array(PIECES, { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(batches, fc.boolean(), (pieceIndexes, isSorted) => {
        if (isSorted) pieceIndexes.sort((a, b) => a - b);
        expect(decodeHaveBatch(encodeHaveBatch(pieceIndexes), PIECE_COUNT)).toEqual(pieceIndexes);
      }),
    );
  });

  it('takes a full batch and no more', () => {
    const run = (count: number) => hex(`80000000 ${count.toString(16).padStart(8, '0')}`);
    expect(decodeHaveBatch(run(HAVE_BATCH_MAX), 10_000)).toHaveLength(HAVE_BATCH_MAX);
    expect(() => decodeHaveBatch(run(HAVE_BATCH_MAX + 1), 10_000)).toThrow('have-batch-malformed');
  });

  it('only rejects random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (payload) => {
        try {
          for (const pieceIndex of decodeHaveBatch(payload, 1_000)) {
            expect(pieceIndex).toBeLessThan(1_000);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});

describe('bs_prio', () => {
  it.each([
    ['demand', '0000000900'],
    ['boot-order', '0000000901'],
    ['fill', '0000000902'],
  ] as const)('carries the class %s', (pieceClass, bytes) => {
    expect(toHex(encodePriority(9, pieceClass))).toBe(bytes);
    expect(decodePriority(hex(bytes), 10)).toEqual({ pieceIndex: 9, pieceClass });
  });

  it.each([
    ['fill', 1, '000000090200000001'],
    ['demand', 0x0102_0304, '000000090001020304'],
    ['boot-order', 0xffff_ffff, '0000000901ffffffff'],
  ] as const)('carries the class %s and the failed lease %i', (pieceClass, failedLease, bytes) => {
    expect(toHex(encodePriority(9, pieceClass, failedLease))).toBe(bytes);
    expect(decodePriority(hex(bytes), 10)).toEqual({ pieceIndex: 9, pieceClass, failedLease });
  });

  it('brings back any piece, class and lease', () => {
    const leases = fc.option(fc.integer({ min: 1, max: UINT32_MAX }), { nil: undefined });
    fc.assert(
      fc.property(PIECES, fc.constantFrom(...PIECE_CLASSES), leases, (...fields) => {
        const [pieceIndex, pieceClass, failedLease] = fields;
        const decoded = decodePriority(encodePriority(...fields), PIECE_COUNT);
        expect(decoded).toEqual({ pieceIndex, pieceClass, failedLease });
      }),
    );
  });
});

describe('bs_redir', () => {
  it.each([
    [{ pieceIndex: 9, lease: 1, node: 'a' }, '00000009 00000001 61'],
    [{ pieceIndex: 0, lease: 0xffff_ffff, node: 'nödé' }, '00000000 ffffffff 6ec3b664c3a9'],
  ])('carries %o', (redirect, bytes) => {
    expect(toHex(encodeRedirect(redirect))).toBe(toHex(hex(bytes)));
    expect(decodeRedirect(hex(bytes), 10)).toEqual(redirect);
  });

  it('brings back any piece, lease and name', () => {
    const names = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter((name) => decodeName(Buffer.from(name)) !== undefined);
    fc.assert(
      fc.property(PIECES, fc.integer({ min: 1, max: UINT32_MAX }), names, (...fields) => {
        const [pieceIndex, lease, node] = fields;
        const redirect = { pieceIndex, lease, node };
        expect(decodeRedirect(encodeRedirect(redirect), PIECE_COUNT)).toEqual(redirect);
      }),
    );
  });

  it('takes a name of 128 bytes and no longer one', () => {
    const redirectTo = (node: string) => encodeRedirect({ pieceIndex: 0, lease: 1, node });
    expect(decodeRedirect(redirectTo('é'.repeat(64)), 10).node).toBe('é'.repeat(64));
    expect(() => decodeRedirect(redirectTo('a'.repeat(129)), 10)).toThrow('redirect-malformed');
  });
});

describe('bs_ping', () => {
  it.each([
    [{ type: 'ping', padding: 0 }, '00'],
    [{ type: 'ping', padding: 3 }, '00 000000'],
    [{ type: 'pong', bytesPerMs: 0 }, '01 00000000'],
    [{ type: 'pong', bytesPerMs: 125_000 }, '01 0001e848'],
    [{ type: 'pong', bytesPerMs: UINT32_MAX }, '01 ffffffff'],
    [{ type: 'busy' }, '02'],
  ] as const)('carries %o', (ping, bytes) => {
    expect(toHex(encodePing(ping))).toBe(toHex(hex(bytes)));
    expect(decodePing(hex(bytes))).toEqual(ping);
  });

  it('brings back any padding and rate', () => {
    const pings = fc.oneof(
      fc.record({ type: fc.constant('ping' as const), padding: fc.nat(PING_PADDING_MAX) }),
      fc.record({ type: fc.constant('pong' as const), bytesPerMs: fc.nat(UINT32_MAX) }),
    );
    fc.assert(
      fc.property(pings, (ping) => {
        expect(decodePing(encodePing(ping))).toEqual(ping);
      }),
    );
  });

  it('rejects padding with anything in it, wherever that is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.nat(), (padding, where) => {
        const payload = encodePing({ type: 'ping', padding });
        payload[1 + (where % padding)] = 1;
        expect(() => decodePing(payload)).toThrow('ping-malformed');
      }),
    );
  });

  it('takes 60 KiB of padding and no more', () => {
    expect(decodePing(new Uint8Array(1 + 61_440))).toEqual({ type: 'ping', padding: 61_440 });
    expect(() => decodePing(new Uint8Array(2 + 61_440))).toThrow('ping-malformed');
  });
});

describe('bs_prio, bs_redir and bs_ping', () => {
  const lengths = fc.uint8Array({ maxLength: 12 });
  const decoders = [
    ['bs_prio', (payload: Uint8Array) => decodePriority(payload, 1_000).pieceIndex],
    ['bs_redir', (payload: Uint8Array) => decodeRedirect(payload, 1_000).pieceIndex],
    [
      'bs_ping',
      (payload: Uint8Array) => ['ping', 'pong', 'busy'].indexOf(decodePing(payload).type),
    ],
  ] as const;

  it.each(decoders)('%s only rejects random bytes', (_, decode) => {
    // Half of them with an index that may be good, so that what follows it is looked at.
    const indexed = fc.tuple(fc.nat({ max: 1_100 }), lengths).map(([index, rest]) => {
      const payload = Buffer.alloc(4 + rest.length);
      payload.writeUInt32BE(index);
      payload.set(rest, 4);
      return new Uint8Array(payload);
    });
    fc.assert(
      fc.property(fc.oneof(lengths, indexed), (payload) => {
        try {
          expect(decode(payload)).toBeLessThan(1_000);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the extended handshake', () => {
  it('of one of ours names its node and its extension ids', () => {
    const payload =
      'd2:bsd1:n2:n71:oi1e1:r2:r21:vi1e1:z2:z3e1:md7:bs_havei8e7:bs_pingi7e7:bs_prioi9e8:bs_rediri6eee';
    expect(parseExtendedHandshake(Buffer.from(payload))).toMatchObject({
      ours: {
        identity: { kind: 'ours', node: 'n7', zone: 'z3', rack: 'r2', isOrigin: true },
        haveId: 8,
        prioId: 9,
        redirId: 6,
        pingId: 7,
      },
    });
  });

  it('names nodes in UTF-8, and nothing that is not', () => {
    const payload = Buffer.from(`d2:bsd1:n6:nödé1:oi0e1:r0:1:vi1e1:z0:e1:m${OUR_IDS}e`);
    expect(parseExtendedHandshake(payload).ours?.identity.node).toBe('nödé');
    payload[payload.indexOf('ö')] = 0xff;
    expect(() => parseExtendedHandshake(payload)).toThrow('extended-handshake-malformed');
  });

  it('of another version of ours is that of a foreign peer', () => {
    const { ours } = parseExtendedHandshake(Buffer.from('d2:bsd1:vi2eee'));
    expect(ours).toBeUndefined();
  });

  it('of libtorrent, with unsorted keys and a negative number, names the client', () => {
    const payload =
      'd12:complete_agoi-1e1:md11:upload_onlyi3e6:ut_pexi1ee4:reqqi500e1:v18:libtorrent/2.0.8.06:yourip4:\x7f\0\0\x01e';
    const bytes = Buffer.from(payload, 'latin1');
    expect(parseExtendedHandshake(bytes)).toEqual({
      client: 'libtorrent/2.0.8.0',
      reqq: 500,
      ours: undefined,
    });
    const unsorted = Buffer.from('d1:v1:x4:reqqi1ee');
    expect(parseExtendedHandshake(unsorted)).toMatchObject({ client: 'x', reqq: 1 });
  });

  it.each([
    ['d4:reqqi0ee', 1],
    ['d4:reqqi-5ee', 1],
    ['d4:reqq3:abce', 250],
    ['de', 250],
  ])('%s lets %i requests wait', (payload, reqq) => {
    expect(parseExtendedHandshake(Buffer.from(payload)).reqq).toBe(reqq);
  });

  it('shows no more of a client name than is printable and short', () => {
    const name = `\x1b[31m${'a'.repeat(100)}`;
    const { client } = parseExtendedHandshake(Buffer.from(`d1:v${name.length}:${name}e`));
    expect(client).toBe(`[31m${'a'.repeat(59)}`);
  });
});

describe('makePeerId', () => {
  it('puts 12 random bytes behind our client prefix', () => {
    const peerId = makePeerId(hex('00 01 02 03 04 05 06 07 08 09 0a 0b'));
    expect(toHex(peerId)).toBe(`${toHex(Buffer.from('-BS0100-'))}000102030405060708090a0b`);
  });
});
