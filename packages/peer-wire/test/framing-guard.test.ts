import { ProtocolError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FramingGuard } from '../src/framing-guard.ts';
import { frame, handshake, hex, KEEP_ALIVE, STRANGER_ID, toHex, u32 } from './messages.ts';

const SHAPE = { pieceCount: 10, pieceLength: 64 * 1024 };

/** What came through the guard, in order. */
class Record {
  readonly events: string[] = [];
  /** The buffers that pieces came in. */
  readonly payloads: Uint8Array[] = [];
  closeCode: string | undefined;
  bufferedBytesMax = 0;
  readonly guard: FramingGuard;

  constructor(admit: (pieceIndex: number, offset: number, length: number) => void = () => {}) {
    this.guard = new FramingGuard({
      onHandshake: ({ peerId }) => {
        this.events.push(`handshake ${toHex(peerId)}`);
        return SHAPE;
      },
      onKeepAlive: () => this.events.push('keep-alive'),
      admitPiece: (pieceIndex, offset, length) => {
        admit(pieceIndex, offset, length);
        return new Uint8Array(length);
      },
      onPiece: (pieceIndex, offset, payload) => {
        this.events.push(toHex(frame(7, u32(pieceIndex, offset), payload)));
        this.payloads.push(payload);
      },
      onFrame: (bytes) => this.events.push(toHex(bytes)),
    });
  }

  push(...chunks: readonly Uint8Array[]): this {
    try {
      for (const chunk of chunks) {
        this.guard.push(chunk);
        this.bufferedBytesMax = Math.max(this.bufferedBytesMax, this.guard.bufferedBytes);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.closeCode = error.code;
    }
    return this;
  }
}

/** `bytes` cut at each of `cuts`, which are fractions of its length. */
function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.map((cut) => Math.floor(cut * bytes.length)), bytes.length];
  ends.sort((a, b) => a - b);
  return ends.map((end, at) => bytes.subarray(at === 0 ? 0 : ends[at - 1], end));
}

const MESSAGES = [
  frame(1),
  KEEP_ALIVE,
  frame(5, hex('ffc0')),
  frame(4, u32(9)),
  frame(6, u32(1, 0, 65_536)),
  frame(7, u32(2, 0), new Uint8Array(65_536).fill(0xab)),
  frame(7, u32(9, 0), new Uint8Array(1_000).fill(0xcd)),
  KEEP_ALIVE,
  frame(9, hex('1ae1')),
  frame(20, hex('00'), Buffer.from('d1:mdee')),
  frame(99, hex('010203')),
  frame(0),
];
const STREAM = Buffer.concat([handshake(), ...MESSAGES]);
const EVENTS = [
  `handshake ${toHex(STRANGER_ID)}`,
  ...MESSAGES.map((bytes) => (bytes === KEEP_ALIVE ? 'keep-alive' : toHex(bytes))),
];

describe('FramingGuard', () => {
  it('hands on a handshake and whole messages that come in one chunk', () => {
    expect(new Record().push(STREAM).events).toEqual(EVENTS);
  });

  it('hands on the same when each byte comes alone', () => {
    const bytes = [...STREAM].map((byte) => Uint8Array.of(byte));
    expect(new Record().push(...bytes).events).toEqual(EVENTS);
  });

  it('hands on the same in any segmentation', () => {
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 40 });
    fc.assert(
      fc.property(cuts, (at) => {
        expect(new Record().push(...cutAt(STREAM, at)).events).toEqual(EVENTS);
      }),
    );
  });

  it('hands on the same wherever it is cut once', () => {
    const small = Buffer.concat([handshake(), ...MESSAGES.filter((bytes) => bytes.length < 50)]);
    const events = new Record().push(small).events;
    for (let cut = 0; cut <= small.length; cut += 1) {
      const parts = [small.subarray(0, cut), small.subarray(cut)];
      expect(new Record().push(...parts).events).toEqual(events);
    }
  });

  it('puts each payload where it was told when the piece was admitted', () => {
    const record = new Record().push(Buffer.concat([handshake(), ...MESSAGES]));
    expect(record.payloads.map((bytes) => bytes.buffer.byteLength)).toEqual([65_536, 1_000]);
  });

  it('keeps nothing of a chunk that is written over after each push', () => {
    const chunk = new Uint8Array(1_000);
    const record = new Record();
    for (let at = 0; at < STREAM.length; at += chunk.length) {
      const bytes = STREAM.subarray(at, at + chunk.length);
      chunk.set(bytes);
      record.push(chunk.subarray(0, bytes.length));
      chunk.fill(0xee);
    }
    expect(record.events).toEqual(EVENTS);
  });

  it('takes no memory for a piece that is not admitted', () => {
    const record = new Record(() => {
      throw new ProtocolError('piece-unrequested');
    });
    record.push(handshake(), u32(9 + 65_536), hex('07'), u32(0, 0));
    expect(record.closeCode).toBe('piece-unrequested');
    expect(record.bufferedBytesMax).toBeLessThan(16);
  });

  it('asks for admission with the numbers of the head, unsigned', () => {
    const asked: number[][] = [];
    const record = new Record((...range) => asked.push(range));
    record.push(handshake(), u32(9 + 5), hex('07'), u32(0xffffffff, 0x80000000));
    expect(asked).toEqual([[0xffffffff, 0x80000000, 5]]);
  });

  it('stops in the middle of a chunk when it is told to', () => {
    const record = new Record();
    const guard = new FramingGuard({
      onHandshake: () => SHAPE,
      onKeepAlive: () => {},
      admitPiece: (_, __, length) => new Uint8Array(length),
      onPiece: () => {},
      onFrame: (bytes) => {
        record.events.push(toHex(bytes));
        guard.stop();
      },
    });
    guard.push(Buffer.concat([handshake(), frame(0), frame(1)]));
    guard.push(frame(2));
    expect(record.events).toEqual(['0000000100']);
  });

  it.each([
    ['pstrlen 0', hex('00')],
    ['pstrlen 18', hex('12')],
    ['pstrlen 20', hex('14')],
    ['pstrlen 255', hex('ff')],
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n')],
    ['another protocol of the right length', Buffer.from('\x13BitTorrent protocoL', 'latin1')],
  ])('refuses a handshake with %s at once', (_, bytes) => {
    expect(new Record().push(bytes).closeCode).toBe('handshake-malformed');
  });

  it.each([0, 1, 67])('waits for the rest of a handshake of %i bytes', (length) => {
    const record = new Record().push(handshake().subarray(0, length));
    expect(record).toMatchObject({ events: [], closeCode: undefined });
  });

  it('takes a handshake with all reserved bits set', () => {
    const record = new Record().push(handshake({ reserved: 'ffffffffffffffff' }));
    expect(record.events).toHaveLength(1);
  });

  const lengths: [string, number, number, string | undefined][] = [
    ['a length of 2^32 - 1', 0xffffffff, 1, 'message-too-long'],
    ['a length of 2^31, which is not a keep-alive', 0x80000000, 1, 'message-too-long'],
    ['a length of 2^31 - 1', 0x7fffffff, 1, 'message-too-long'],
    ['a piece of one byte more than a piece', 9 + 65_537, 7, 'message-too-long'],
    ['a piece without payload', 9, 7, 'message-too-short'],
    ['a bitfield one byte short', 2, 5, 'message-too-short'],
    ['a bitfield one byte long', 4, 5, 'message-too-long'],
    ['an extended message of 64 KiB', 65_536, 20, undefined],
    ['an extended message of 64 KiB and a byte', 65_537, 20, 'message-too-long'],
    ['an extended message without an id', 1, 20, 'message-too-short'],
    ['an unknown message of 16 KiB', 16_384, 99, undefined],
    ['an unknown message of 16 KiB and a byte', 16_385, 99, 'message-too-long'],
    ['hashes of more than 512 and 64 proofs', 49 + 32 * 576 + 1, 22, 'message-too-long'],
    ...[0, 1, 2, 3, 14, 15].map(tooLong(1)),
    ...[4, 13, 17].flatMap((id) => [tooLong(5)(id), tooShort(5)(id)]),
    ...[6, 8, 16].flatMap((id) => [tooLong(13)(id), tooShort(13)(id)]),
    ...[9].flatMap((id) => [tooLong(3)(id), tooShort(3)(id)]),
    ...[21, 23].flatMap((id) => [tooLong(49)(id), tooShort(49)(id)]),
  ];

  it.each(lengths)('judges %s by its head alone', (_, length, id, code) => {
    const record = new Record().push(handshake(), u32(length), Uint8Array.of(id));
    expect(record.closeCode).toBe(code);
    expect(record.bufferedBytesMax).toBeLessThanOrEqual(Math.min(length + 4, 65_540 + 9));
  });

  it('only closes on random bytes, and holds at most one message', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 }), (chunks) => {
        const record = new Record().push(handshake(), ...chunks);
        expect(record.bufferedBytesMax).toBeLessThanOrEqual(65_549);
      }),
    );
  });

  it('only closes on a mutated stream, and holds at most one message', () => {
    const mutation = fc.tuple(fc.nat({ max: 400 }), fc.integer({ min: 0, max: 255 }));
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 8 }), cuts, (mutations, at) => {
        const bytes = Buffer.from(STREAM);
        for (const [offset, value] of mutations) bytes[offset] = value;
        const record = new Record().push(...cutAt(bytes, at));
        expect(record.bufferedBytesMax).toBeLessThanOrEqual(65_549);
      }),
    );
  });
});

function tooLong(length: number) {
  return (id: number): [string, number, number, string] => [
    `message ${id} a byte too long`,
    length + 1,
    id,
    'message-too-long',
  ];
}

function tooShort(length: number) {
  return (id: number): [string, number, number, string] => [
    `message ${id} a byte too short`,
    length - 1,
    id,
    'message-too-short',
  ];
}
