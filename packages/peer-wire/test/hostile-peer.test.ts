import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  extended,
  FOREIGN_HELLO,
  frame,
  handshake,
  hex,
  KEEP_ALIVE,
  makeSwarm,
  ORIGIN_HELLO,
  OUR_IDS,
  OURS_HELLO,
  PIECE_LENGTH,
  toHex,
  u32,
} from './messages.ts';
import { SessionRig } from './session-rig.ts';

const SPAM = 20_000;
/** Piece 0, lease 1, node a. */
const REDIRECT = hex('00000000 00000001 61');

function repeated(count: number, message: Uint8Array): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => message));
}

/** A rig with an unchoked peer, of ours or foreign, that has said what it has. */
function readyRig(hello: Uint8Array): SessionRig {
  const rig = new SessionRig().receive(handshake(), hello, frame(14));
  rig.session.send({ type: 'have-all' });
  rig.session.send({ type: 'unchoke' });
  rig.takeSent();
  rig.takeMessages();
  return rig;
}

describe('a hostile peer that is ours', () => {
  const cases: [string, Uint8Array, string][] = [
    ['a second bitfield', frame(5, hex('ffc0')), 'bitfield-not-first'],
    ['have-all twice', frame(14), 'bitfield-not-first'],
    ['have-none after have-all', frame(15), 'bitfield-not-first'],
    ['a have beyond the last piece', frame(4, u32(10)), 'index-out-of-range'],
    ['a have of 2^31', frame(4, u32(0x80000000)), 'index-out-of-range'],
    ['a have of 2^32 - 1', frame(4, u32(0xffffffff)), 'index-out-of-range'],
    ['haves without end', repeated(SPAM, frame(4, u32(1))), 'have-flood'],
    ['have batches without end', repeated(SPAM, extended(1, u32(0x80000000, 9))), 'have-flood'],
    ['keep-alives without end', repeated(SPAM, KEEP_ALIVE), 'chatter-flood'],
    ['choke flapping', repeated(SPAM, Buffer.concat([frame(0), frame(1)])), 'chatter-flood'],
    ['interest flapping', repeated(SPAM, Buffer.concat([frame(2), frame(3)])), 'chatter-flood'],
    ['unknown messages without end', repeated(SPAM, frame(99)), 'chatter-flood'],
    ['cancels without end', repeated(SPAM, frame(8, u32(0, 0, PIECE_LENGTH))), 'chatter-flood'],
    ['rejects of nothing', repeated(SPAM, frame(16, u32(0, 0, PIECE_LENGTH))), 'chatter-flood'],
    ['suggestions without end', repeated(SPAM, frame(13, u32(0))), 'chatter-flood'],
    ['priorities without end', repeated(SPAM, extended(2, hex('0000000000'))), 'chatter-flood'],
    ['hash requests without end', repeated(SPAM, frame(21, new Uint8Array(48))), 'chatter-flood'],
    ['extended handshakes without end', repeated(SPAM, OURS_HELLO), 'chatter-flood'],
    ['the same request again and again', repeatedRequest(), 'chatter-flood'],
    ['a request beyond the last piece', request(10, 0, PIECE_LENGTH), 'index-out-of-range'],
    ['a request at offset 2^31', request(0, 0x80000000, 1), 'range-out-of-piece'],
    ['a request of half a piece', request(0, 0, PIECE_LENGTH / 2), 'request-not-whole'],
    [
      'a request of the last piece as if it were whole',
      request(9, 0, 65_536),
      'range-out-of-piece',
    ],
    ['a request of nothing', request(0, 0, 0), 'range-out-of-piece'],
    ['a request of 2^32 - 1 bytes', request(0, 0, 0xffffffff), 'request-too-long'],
    ['a request that overflows 32 bits', request(0, 0xffffffff, 2), 'range-out-of-piece'],
    ['a cancel beyond the piece', frame(8, u32(0, 1, PIECE_LENGTH)), 'range-out-of-piece'],
    ['a piece that was not asked for', frame(7, u32(0, 0), hex('00')), 'piece-unrequested'],
    ['hashes that were not asked for', frame(22, new Uint8Array(80)), 'hashes-unrequested'],
    ['a reject of hashes', frame(23, new Uint8Array(48)), 'hashes-unrequested'],
    ['a reject beyond the last piece', frame(16, u32(10, 0, 1)), 'index-out-of-range'],
    ['an allowed-fast beyond the last piece', frame(17, u32(10)), 'index-out-of-range'],
    ['a suggestion beyond the last piece', frame(13, u32(10)), 'index-out-of-range'],
    ['an empty have batch', extended(1, ''), 'have-batch-malformed'],
    ['a have batch of 5 bytes', extended(1, hex('0000000000')), 'have-batch-malformed'],
    ['a run without its count', extended(1, u32(0x80000000)), 'have-batch-malformed'],
    ['a run of nothing', extended(1, u32(0x80000000, 0)), 'have-batch-malformed'],
    ['a run of 2^32 - 1', extended(1, u32(0x80000000, 0xffffffff)), 'have-batch-malformed'],
    ['a run beyond the last piece', extended(1, u32(0x80000009, 2)), 'index-out-of-range'],
    ['a priority a byte short', extended(2, hex('00000000')), 'priority-malformed'],
    ['a priority a byte long', extended(2, hex('000000000000')), 'priority-malformed'],
    ['a priority with half a lease', extended(2, hex('00000000000001')), 'priority-malformed'],
    ['a priority with lease 0', extended(2, hex('000000000000000000')), 'priority-malformed'],
    ['a priority 10 bytes long', extended(2, u32(0, 0, 0).subarray(2)), 'priority-malformed'],
    ['a redirect, as it is not the origin', extended(3, REDIRECT), 'redirect-not-by-origin'],
    ['an empty redirect, likewise', extended(3, ''), 'redirect-not-by-origin'],
    ['a ping of nothing', extended(4, ''), 'ping-malformed'],
    ['a ping with padding that is not zero', extended(4, hex('000001')), 'ping-malformed'],
    ['a pong without a rate', extended(4, hex('01')), 'ping-malformed'],
    ['a pong of six bytes', extended(4, hex('010000000000')), 'ping-malformed'],
    ['a busy of two bytes', extended(4, hex('0200')), 'ping-malformed'],
    ['a ping of an unknown kind', extended(4, hex('03')), 'ping-malformed'],
    ['pings without end', repeated(SPAM, extended(4, hex('00'))), 'chatter-flood'],
    ['pongs without end', repeated(SPAM, extended(4, hex('0100000000'))), 'chatter-flood'],
    ['a priority of no class', extended(2, hex('0000000003')), 'priority-malformed'],
    ['a priority beyond the last piece', extended(2, hex('0000000a00')), 'index-out-of-range'],
    ['a broken second extended handshake', extended(0, 'l-3:'), 'bencode-syntax'],
  ];

  it.each(cases)('is closed for %s', (_, bytes, code) => {
    const rig = readyRig(OURS_HELLO).receive(bytes);
    expect(rig.closeCode).toBe(code);
  });

  it('is closed when it leaves more requests open than an engine asks', () => {
    const rig = new SessionRig({ limits: { receivedRequestsMax: 3 } });
    rig.receive(handshake(), OURS_HELLO);
    rig.session.send({ type: 'unchoke' });
    rig.receive(request(0, 0, PIECE_LENGTH), request(1, 0, PIECE_LENGTH));
    rig.receive(request(2, 0, PIECE_LENGTH));
    expect(rig.closeCode).toBeUndefined();
    expect(rig.receive(request(3, 0, PIECE_LENGTH)).closeCode).toBe('too-many-requests');
  });

  it('is closed for requesting and cancelling without end', () => {
    const rig: SessionRig = new SessionRig({
      onMessage: (message) => {
        if (message.type === 'cancel') rig.session.send({ ...message, type: 'reject' });
      },
    });
    rig.receive(handshake(), OURS_HELLO);
    rig.session.send({ type: 'unchoke' });
    const storm = Buffer.concat([request(0, 0, PIECE_LENGTH), frame(8, u32(0, 0, PIECE_LENGTH))]);
    expect(rig.receive(repeated(SPAM, storm)).closeCode).toBe('chatter-flood');
  });

  it('cannot save up for a flood', () => {
    const rig = readyRig(OURS_HELLO);
    for (let served = 0; served < 5_000; served += 1) {
      rig.receive(request(9, 0, 1_000));
      const range = { pieceIndex: 9, offset: 0, length: 1_000 };
      rig.session.send({ type: 'piece', ...range, payload: new Uint8Array(1_000) });
      rig.settle();
    }
    expect(rig.closeCode).toBeUndefined();
    expect(rig.receive(repeated(5_000, KEEP_ALIVE)).closeCode).toBe('chatter-flood');
  });

  it('may talk as long as it keeps below the rate of an idle peer', () => {
    const rig = readyRig(OURS_HELLO);
    for (let second = 0; second < 100; second += 1) {
      rig.nowMs = second * 1_000;
      rig.receive(repeated(200, KEEP_ALIVE));
    }
    expect(rig.closeCode).toBeUndefined();
  });

  it('is closed for requests without end while it is choked', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO);
    const requests = repeated(SPAM, request(0, 0, PIECE_LENGTH));
    expect(rig.receive(requests).closeCode).toBe('chatter-flood');
    expect(rig.takeMessages()).toEqual([]);
  });
});

describe('an origin', () => {
  const name = (text: string) => Buffer.concat([u32(0, 1), Buffer.from(text)]);

  it.each([
    ['an empty redirect', extended(3, ''), 'redirect-malformed'],
    ['a redirect to nobody', extended(3, u32(0, 1)), 'redirect-malformed'],
    ['a redirect with lease 0', extended(3, hex('0000000000000000 61')), 'redirect-malformed'],
    ['a redirect to a name of 129 bytes', extended(3, name('a'.repeat(129))), 'redirect-malformed'],
    [
      'a redirect to a name that is not UTF-8',
      extended(3, hex('0000000000000001 ff')),
      'redirect-malformed',
    ],
    ['a redirect to a name with a line break', extended(3, name('a\nb')), 'redirect-malformed'],
    [
      'a redirect to a name with a byte order mark',
      extended(3, name('\ufeffa')),
      'redirect-malformed',
    ],
    [
      'a redirect beyond the last piece',
      extended(3, hex('0000000a00000001 61')),
      'index-out-of-range',
    ],
    ['redirects without end', repeated(SPAM, extended(3, REDIRECT)), 'chatter-flood'],
  ])('is closed for %s', (_, bytes, code) => {
    expect(readyRig(ORIGIN_HELLO).receive(bytes).closeCode).toBe(code);
  });
});

describe('a hostile peer that is foreign', () => {
  it.each([
    ['a request of a whole piece', request(0, 0, PIECE_LENGTH), 'request-too-long'],
    [
      'a request across the end of the piece',
      request(0, PIECE_LENGTH - 1, 2),
      'range-out-of-piece',
    ],
    ['a request behind the end of the image', request(9, 1_000, 2), 'range-out-of-piece'],
    ['a request of nothing', request(0, 0, 0), 'range-out-of-piece'],
  ])('is closed for %s', (_, bytes, code) => {
    expect(readyRig(FOREIGN_HELLO).receive(bytes).closeCode).toBe(code);
  });

  it('is refused our extension messages without a word', () => {
    const rig = readyRig(FOREIGN_HELLO).receive(
      extended(1, u32(1)),
      extended(2, hex('0000000000')),
      extended(3, REDIRECT),
      extended(4, hex('00')),
      extended(4, hex('01')),
    );
    expect(rig).toMatchObject({ messages: [], closeCode: undefined });
  });

  it('has requests beyond its limit rejected', () => {
    const rig = new SessionRig({ limits: { foreignRequestsMax: 1 } });
    rig.receive(handshake(), FOREIGN_HELLO);
    rig.session.send({ type: 'unchoke' });
    rig.takeSent();
    rig.receive(request(0, 0, 16_384), request(0, 16_384, 16_384));
    expect(rig.takeSent()).toBe(toHex(frame(16, u32(0, 16_384, 16_384))));
    expect(rig.takeMessages()).toMatchObject([{ type: 'request', offset: 0 }]);
  });

  it.each([
    ['have-all', frame(14)],
    ['have-none', frame(15)],
    ['a reject', frame(16, u32(0, 0, 1))],
    ['an allowed-fast', frame(17, u32(0))],
    ['a suggestion', frame(13, u32(0))],
  ])('is closed for %s when it did not offer BEP 6', (_, bytes) => {
    const rig = new SessionRig().receive(
      handshake({ reserved: '0000000000100000' }),
      FOREIGN_HELLO,
    );
    expect(rig.receive(bytes).closeCode).toBe('fast-not-negotiated');
  });
});

describe('a hostile handshake', () => {
  it.each([
    ['another infohash', handshake({ infoHash: new Uint8Array(20) }), 'info-hash-unknown'],
    ['our own peer id', handshake({ peerId: makeSwarm().peerId }), 'self-connection'],
  ])('is closed for %s', (_, bytes, code) => {
    expect(new SessionRig().receive(bytes).closeCode).toBe(code);
  });

  it.each([
    ['not bencode', 'hello', 'bencode-syntax'],
    ['a negative string length', 'l-3:', 'bencode-syntax'],
    ['not a dictionary', 'le', 'extended-handshake-malformed'],
    ['nested lists', 'l'.repeat(60_000), 'bencode-too-deep'],
    ['a huge number', `d1:ai1${'0'.repeat(400)}ee`, 'bencode-number'],
    ['bytes after the end', 'dede', 'bencode-trailing'],
    ['a string longer than the message', 'd1:a9999999:', 'bencode-truncated'],
    ['an m that is a list', 'd1:mlee', 'extended-handshake-malformed'],
    ['an extension id of 256', 'd1:md1:ai256eee', 'extended-handshake-malformed'],
    ['an extension id of -1', 'd1:md1:ai-1eee', 'extended-handshake-malformed'],
    ['an extension id that is text', 'd1:md1:a1:1ee', 'extended-handshake-malformed'],
    ['a bs without names', 'd2:bsd1:oi0e1:vi1eee', 'extended-handshake-malformed'],
    ['a bs with an empty node', bs({ n: '0:' }), 'extended-handshake-malformed'],
    [
      'a bs with a name of 129 bytes',
      bs({ z: `129:${'a'.repeat(129)}` }),
      'extended-handshake-malformed',
    ],
    ['a bs with a right-to-left override', bs({ n: '3:\u202e' }), 'extended-handshake-malformed'],
    ['a bs with a control character', bs({ r: '1:\n' }), 'extended-handshake-malformed'],
    ['a bs with a byte order mark', bs({ n: '4:\ufeffa' }), 'extended-handshake-malformed'],
    ['a bs with an origin of 2', bs({ o: 'i2e' }), 'extended-handshake-malformed'],
    [
      'a bs without extension ids',
      'd2:bsd1:n1:a1:oi0e1:r0:1:vi1e1:z0:ee',
      'extended-handshake-malformed',
    ],
    ...['bs_have', 'bs_ping', 'bs_prio', 'bs_redir'].map((id) => [
      `a bs without ${id}`,
      bs({}).replace(id, id.toUpperCase()),
      'extended-handshake-malformed',
    ]),
  ])('is closed for an extended handshake that is %s', (_, payload, code) => {
    expect(new SessionRig().receive(handshake(), extended(0, payload)).closeCode).toBe(code);
  });

  it.each(['__proto__', 'constructor', 'toString'])(
    'takes an extension called %s for a name',
    (name) => {
      const payload = `d1:md${name.length}:${name}i3eee`;
      const rig = new SessionRig().receive(handshake(), extended(0, payload));
      expect(rig.identities).toMatchObject([{ kind: 'foreign' }]);
    },
  );

  it('is closed for one of ours that does not offer BEP 6', () => {
    const rig = new SessionRig().receive(handshake({ reserved: '0000000000100000' }), OURS_HELLO);
    expect(rig.closeCode).toBe('fast-not-negotiated');
  });

  it('is closed for a bitfield with spare bits set', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO, frame(5, hex('ffe0')));
    expect(rig.closeCode).toBe('bitfield-spare-bits');
  });

  it('is closed for a bitfield after a have', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO, frame(4, u32(0)));
    expect(rig.receive(frame(5, hex('ffc0'))).closeCode).toBe('bitfield-not-first');
  });

  it('takes a peer that talks before its extended handshake for a foreign one, in the end', () => {
    const rig = new SessionRig().receive(handshake(), repeated(64, frame(4, u32(1))));
    expect(rig.identities).toEqual([]);
    rig.receive(frame(4, u32(1)));
    expect(rig.identities).toMatchObject([{ kind: 'foreign', client: '' }]);
  });

  it('holds no more than a bitfield of a peer before its extended handshake', () => {
    const rig = new SessionRig().receive(handshake());
    rig.receive(repeated(11, frame(99, new Uint8Array(16_000))));
    expect(rig.identities).toMatchObject([{ kind: 'foreign', client: '' }]);
  });
});

describe('any bytes after the handshake', () => {
  const messages = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .tuple(fc.integer({ min: 0, max: 24 }), fc.uint8Array({ maxLength: 60 }))
      .map(([id, body]) => frame(id, body)),
    fc
      .tuple(
        fc.constantFrom(4, 6, 8, 13, 16, 17),
        fc.array(fc.nat({ max: 70_000 }), { minLength: 3, maxLength: 3 }),
      )
      .map(([id, numbers]) =>
        frame(id, u32(...(id === 4 || id === 13 || id === 17 ? numbers.slice(0, 1) : numbers))),
      ),
    fc.constantFrom(frame(0), frame(1), frame(2), frame(3), frame(14), request(1, 0, PIECE_LENGTH)),
    fc
      .tuple(fc.nat({ max: 5 }), fc.uint8Array({ maxLength: 20 }))
      .map(([id, body]) => extended(id, body)),
    fc.constantFrom(OURS_HELLO, FOREIGN_HELLO, KEEP_ALIVE),
  );

  it('only close the connection, whoever the peer is', () => {
    const hellos = fc.constantFrom(OURS_HELLO, ORIGIN_HELLO, FOREIGN_HELLO, new Uint8Array());
    fc.assert(
      fc.property(hellos, fc.array(messages, { maxLength: 30 }), (hello, chunks) => {
        const rig = new SessionRig().receive(handshake(), hello);
        if (rig.identities.length > 0) rig.session.send({ type: 'unchoke' });
        // A throw that is not a ProtocolError fails the property.
        rig.receive(...chunks).settle();
        expect(rig.guard.bufferedBytes).toBeLessThanOrEqual(PIECE_LENGTH + 13);
      }),
      { numRuns: 500 },
    );
  });
});

function request(...range: readonly [number, number, number]): Uint8Array {
  return frame(6, u32(...range));
}

function repeatedRequest(): Uint8Array {
  return repeated(SPAM, request(1, 0, PIECE_LENGTH));
}

/** The extended handshake of one of ours with one field of `bs` changed. */
function bs(changed: Record<string, string>): string {
  const fields = { n: '1:a', o: 'i0e', r: '0:', v: 'i1e', z: '0:', ...changed };
  const entries = Object.entries(fields).map(([key, value]) => `1:${key}${value}`);
  return `d2:bsd${entries.join('')}e1:m${OUR_IDS}e`;
}
