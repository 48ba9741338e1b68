import { pack } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { decodeAgentMessage, isHost, isName, MEMBERS_MAX, SUSPECTS_MAX } from '../src/index.ts';
import {
  agentCode,
  BOOT_ORDER,
  HELLO,
  IMAGE,
  JOIN,
  PACKED_MEMBERS,
  PROGRESS,
  packr,
  REFUSED,
  STATS,
  SUSPECT,
  TOUCHED,
  trackerCode,
  WELCOME,
} from './sample-messages.ts';

describe('schema', () => {
  const agentTypes: object[] = [
    HELLO,
    JOIN,
    PROGRESS,
    STATS,
    SUSPECT,
    TOUCHED,
    { type: 'leave', image: IMAGE },
  ];
  const trackerTypes: object[] = [
    WELCOME,
    PACKED_MEMBERS,
    BOOT_ORDER,
    REFUSED,
    { type: 'withdrawn', image: IMAGE },
    { type: 'published', image: IMAGE },
  ];
  const cases: [object, (bytes: Uint8Array) => string][] = [
    ...agentTypes.map((each): [object, typeof agentCode] => [each, agentCode]),
    ...trackerTypes.map((each): [object, typeof trackerCode] => [each, trackerCode]),
  ];

  test('refuses a report with any field missing, unknown or wrong, to the last cell of a row', () => {
    const { report } = STATS;
    const code = (changed: object) => agentCode(packr.pack({ ...STATS, report: changed }));
    for (const field of Object.keys(report)) {
      const { [field]: _, ...rest } = report as Record<string, unknown>;
      expect(code(rest)).toBe('field-missing');
      for (const wrong of [null, [[]], -1, 1.5, 'x']) {
        expect([field, code({ ...report, [field]: wrong })]).toEqual([field, 'field-invalid']);
      }
    }
    expect(code({ ...report, extra: 1 })).toBe('field-unknown');
    for (const rows of ['originReads', 'alarms'] as const) {
      const [row] = report[rows];
      expect(code({ ...report, [rows]: new Array(65).fill(row) })).toBe('field-invalid');
      for (let at = 0; at < row.length; at += 1) {
        for (const wrong of [null, -1, '\u0000', 'x'.repeat(600)]) {
          const changed = row.toSpliced(at, 1, wrong as string);
          expect(code({ ...report, [rows]: [changed] })).toBe('field-invalid');
        }
      }
      expect(code({ ...report, [rows]: [row.slice(1)] })).toBe('field-invalid');
    }
  });

  test('refuses each message with any field missing, unknown or of another type', () => {
    for (const [message, code] of cases) {
      expect(code(packr.pack(message))).toBe('accepted');
      expect(code(packr.pack({ ...message, extra: 1 }))).toBe('field-unknown');
      for (const field of Object.keys(message)) {
        const { [field]: _, ...rest } = message as Record<string, unknown>;
        expect(code(packr.pack(rest))).toBe('field-missing');
        for (const wrong of [null, [[]], { x: 1 }, -1, 1.5, '\u0000']) {
          const expected =
            field === 'type' && wrong === '\u0000' ? 'message-type-unknown' : 'field-invalid';
          const got = code(packr.pack({ ...message, [field]: wrong }));
          // A list or a map may be wrong inside.
          expect(typeof wrong === 'object' && got === 'field-missing' ? expected : got).toBe(
            expected,
          );
        }
      }
    }
  });

  test('refuses values that are no message, and types of the other direction', () => {
    for (const value of [null, 1, 'hello', [], [HELLO], true, {}]) {
      expect(agentCode(pack(value))).toMatch(/^field-(invalid|missing)$/);
    }
    expect(agentCode(packr.pack(WELCOME))).toBe('message-type-unknown');
    expect(trackerCode(packr.pack(HELLO))).toBe('message-type-unknown');
  });

  test('refuses numbers that are no whole numbers of their range', () => {
    for (const piecesHad of [-1, 1.5, Number.NaN, Infinity, 2 ** 53, 2 ** 63, 2 ** 32]) {
      expect(agentCode(packr.pack({ ...JOIN, piecesHad }))).toBe('field-invalid');
    }
    const join = packr.pack(JOIN);
    const negativeZero = Buffer.from('cb8000000000000000', 'hex');
    expect(agentCode(Buffer.concat([join.subarray(0, -1), negativeZero]))).toBe('field-invalid');
    for (const port of [0, -1, 65_536, '6881']) {
      const hello = { ...HELLO, address: { host: 'a', port } };
      expect(agentCode(packr.pack(hello))).toBe('field-invalid');
    }
  });

  test('takes a 64-bit integer as a number', () => {
    const bytes = Buffer.concat([packr.pack(PROGRESS)]);
    const at = bytes.indexOf('bytesSent') + 'bytesSent'.length;
    const wide = Buffer.from('cf0000000100000000', 'hex');
    const message = Buffer.concat([bytes.subarray(0, at), wide, bytes.subarray(at + 1)]);
    expect(decodeAgentMessage(message)).toMatchObject({ bytesSent: 2 ** 32 });
  });

  test('bounds names by their bytes and refuses what does not print', () => {
    expect(isName('n'.repeat(128))).toBe(true);
    expect(isName('compute-01.example')).toBe(true);
    expect(isName('Зона 1')).toBe(true);
    const bad = [
      '',
      'n'.repeat(129),
      'é'.repeat(65),
      'a\nb',
      'a\u001b[31m',
      'a\u202eb',
      'a\u2028b',
      '\ufffd',
      '\ud800',
    ];
    for (const name of bad) expect(isName(name)).toBe(false);
    const invalidUtf8 = packr.pack({ ...HELLO, node: 'zz' });
    invalidUtf8[invalidUtf8.indexOf('zz')] = 0xff;
    expect(agentCode(invalidUtf8)).toBe('field-invalid');
  });

  test('takes addresses and DNS names as hosts, and nothing else', () => {
    const good = [
      '10.0.0.1',
      '255.255.255.255',
      '::1',
      'fe80::1',
      '2001:db8::ff',
      '::ffff:10.0.0.1',
      'a',
      'n-1.example',
      '1a.b',
    ];
    const bad = [
      '',
      '256.1.1.1',
      '1.2.3',
      '1.2.3.4.5',
      '01.2.3.4',
      '1.2.3.4.',
      ':::',
      'fe80::1%eth0',
      '[::1]',
      'a b',
    ];
    bad.push(
      '-a',
      'a-',
      'a..b',
      'a.',
      'a_b',
      `${'a'.repeat(64)}.b`,
      'a.'.repeat(130),
      'a/b',
      'a:1',
      '::1]',
      'é',
      '1',
    );
    for (const each of good) expect([each, isHost(each)]).toEqual([each, true]);
    for (const each of bad) expect([each, isHost(each)]).toEqual([each, false]);
  });

  test('refuses members that are none, of no location, or with an empty host, which only a hello may have', () => {
    const codeOf = (row: unknown) => trackerCode(packr.pack({ ...PACKED_MEMBERS, members: [row] }));
    const [good] = PACKED_MEMBERS.members;
    expect(codeOf(good)).toBe('accepted');
    const wrong: readonly (readonly unknown[])[] = [
      ['', '\n', 1, null],
      ['', 'a b', 1, null],
      [0, -1, 1.5, 65_536, '1', null],
      [-1, 0.5, MEMBERS_MAX, '0', null],
      [1, -1, 0.5, '0', null],
    ];
    for (const [at, values] of wrong.entries()) {
      for (const value of values)
        expect(codeOf(good.with(at, value as never))).toBe('field-invalid');
    }
    for (const row of [[], good.slice(1), [...good, 1], { node: 'a' }, null]) {
      expect(codeOf(row)).toBe('field-invalid');
    }
  });

  test('refuses a list longer than a swarm', () => {
    const left = new Array(MEMBERS_MAX + 1).fill('n');
    expect(trackerCode(packr.pack({ ...PACKED_MEMBERS, left }))).toBe('field-invalid');
  });

  test('refuses more suspects than a node has neighbours', () => {
    const nodes = new Array(SUSPECTS_MAX + 1).fill('n');
    expect(agentCode(packr.pack({ ...SUSPECT, nodes }))).toBe('field-invalid');
  });

  test('refuses more first touches than a message takes, and piece indexes that are none', () => {
    const touched = (pieceIndexes: Buffer) => agentCode(packr.pack({ ...TOUCHED, pieceIndexes }));
    expect(touched(Buffer.alloc(1_024))).toBe('accepted');
    expect(touched(Buffer.alloc(1_025))).toBe('too-many-pieces');
    expect(touched(Buffer.of(0x80))).toBe('piece-indexes-malformed');
    const kinds = new Array(17).fill(BOOT_ORDER.kinds[0]);
    expect(trackerCode(packr.pack({ ...BOOT_ORDER, kinds }))).toBe('field-invalid');
  });

  test('copies into fresh objects without a trace of the input', () => {
    const decoded = decodeAgentMessage(packr.pack(HELLO));
    expect(Object.keys(decoded)).toEqual(Object.keys(HELLO));
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
  });
});
