import { describe, expect, it } from 'vitest';
import {
  extended,
  FOREIGN_HELLO,
  frame,
  hex,
  ORIGIN_HELLO,
  OURS_HELLO,
  PIECE_LENGTH,
  pieceFrame,
  pieceMessage,
  REJECT_0,
  requestFrame,
  requestMessage,
  toHex,
  u32,
} from './messages.ts';
import { readyRig } from './session-rig.ts';

const REDIRECT_0 = { type: 'redirect', pieceIndex: 0, lease: 3, node: 'n7' } as const;
const REDIRECT_FRAME_0 = extended(3, hex('00000000 00000003 6e37'));
const REJECT_FRAME_0 = frame(16, u32(0, 0, PIECE_LENGTH));
const CANCEL_FRAME_0 = frame(8, u32(0, 0, PIECE_LENGTH));
const PING = extended(4, hex('00'));
const PONG = extended(4, hex('01 0001e848'));
const PING_MESSAGE = { type: 'ping', padding: 0 } as const;
const PONG_MESSAGE = { type: 'pong', bytesPerMs: 125_000 } as const;

describe('a failed lease', () => {
  it.each([
    ['fill', '02'],
    ['demand', '00'],
  ] as const)('goes out before its request, with the class %s', (pieceClass, byte) => {
    const rig = readyRig(ORIGIN_HELLO);
    rig.session.send({ ...requestMessage(1), pieceClass, failedLease: 3 });
    const announcement = extended(2, hex(`00000001 ${byte} 00000003`));
    expect(rig.takeSent()).toBe(toHex(announcement, requestFrame(1)));
  });

  it('comes with the request that it was said before, and with no other', () => {
    const rig = readyRig(OURS_HELLO);
    rig.receive(extended(2, hex('00000003 02 00000007')), requestFrame(3), requestFrame(4));
    expect(rig.takeMessages()).toEqual([
      { ...requestMessage(3), failedLease: 7 },
      requestMessage(4),
    ]);
  });

  it('is not that of another piece', () => {
    const rig = readyRig(OURS_HELLO);
    rig.receive(extended(2, hex('00000003 00 00000007')), requestFrame(4));
    expect(rig.takeMessages()).toEqual([requestMessage(4)]);
  });

  it('said of an open request changes its class alone', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(3));
    rig.receive(extended(2, hex('00000003 00 00000007')));
    const [, priority] = rig.takeMessages();
    expect(priority).toEqual({ type: 'priority', pieceIndex: 3, pieceClass: 'demand' });
  });

  it('is not told to foreign peers', () => {
    const rig = readyRig(FOREIGN_HELLO);
    rig.session.send({ ...requestMessage(1), failedLease: 3 });
    expect(rig.takeSent()).toBe(
      toHex(...[0, 1, 2, 3].map((block) => requestFrame(1, block * 16_384, 16_384))),
    );
  });
});

describe('a redirect', () => {
  it('goes out before the reject of its request', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(0));
    rig.session.send(REDIRECT_0);
    rig.session.send(REJECT_0);
    expect(rig.takeSent()).toBe(toHex(REDIRECT_FRAME_0, REJECT_FRAME_0));
  });

  it('of what nobody waits for is not sent', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(REDIRECT_0);
    rig.receive(requestFrame(0));
    rig.session.send(REJECT_0);
    rig.session.send(REDIRECT_0);
    expect(rig.takeSent()).toBe(toHex(REJECT_FRAME_0));
  });

  it('is heard before the reject', () => {
    const rig = readyRig(ORIGIN_HELLO);
    rig.session.send(requestMessage(0));
    rig.receive(REDIRECT_FRAME_0, REJECT_FRAME_0);
    expect(rig.takeMessages()).toEqual([REDIRECT_0, REJECT_0]);
  });

  it.each([
    ['never asked for', []],
    ['asked for and rejected', [REJECT_FRAME_0]],
    ['asked for and sent', [pieceFrame(0)]],
  ])('of a piece that was %s is ignored', (_, answers) => {
    const rig = readyRig(ORIGIN_HELLO);
    if (answers.length > 0) rig.session.send(requestMessage(0));
    rig.receive(...answers);
    rig.takeMessages();
    rig.receive(REDIRECT_FRAME_0);
    expect(rig).toMatchObject({ messages: [], closeCode: undefined });
  });

  it('of a piece that we cancelled is ignored', () => {
    const rig = readyRig(ORIGIN_HELLO);
    rig.session.send(requestMessage(0));
    rig.session.send({ ...REJECT_0, type: 'cancel' });
    rig.receive(REDIRECT_FRAME_0);
    expect(rig).toMatchObject({ messages: [], closeCode: undefined });
  });

  it('costs the origin nothing, with its reject, as often as we ask', () => {
    const rig = readyRig(ORIGIN_HELLO);
    for (let asked = 0; asked < 5_000; asked += 1) {
      rig.session.send(requestMessage(0));
      rig.receive(REDIRECT_FRAME_0, REJECT_FRAME_0);
    }
    expect(rig.closeCode).toBeUndefined();
  });

  it('pays for its request twice for each piece, after which asking in vain is chatter', () => {
    const rig = readyRig(OURS_HELLO);
    let asked = 0;
    for (; rig.closeCode === undefined; asked += 1) {
      rig.receive(extended(2, hex('00000000 00 00000001')), requestFrame(0));
      rig.session.send(REDIRECT_0);
      rig.session.send(REJECT_0);
      rig.takeSent();
    }
    // 20 redirects for 10 pieces; then a budget of 4,096, of which the unchoke took 1, at 2 each.
    expect(rig.closeCode).toBe('chatter-flood');
    expect(asked).toBe(20 + 2_047 + 1);
  });
});

describe('a ping', () => {
  it.each([
    [PING_MESSAGE, PING],
    [{ type: 'ping', padding: 2 }, extended(4, hex('000000'))],
    [PONG_MESSAGE, PONG],
    [{ type: 'busy' }, extended(4, hex('02'))],
  ] as const)('goes out: %o', (message, bytes) => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(message);
    expect(rig.takeSent()).toBe(toHex(bytes));
  });

  it('is heard, and its answer goes out before the pieces that are queued', () => {
    const rig = readyRig(OURS_HELLO).receive(extended(2, hex('0000000100')), requestFrame(1));
    rig.session.send(pieceMessage(1));
    rig.receive(PING);
    expect(rig.takeMessages()).toMatchObject([{ type: 'request' }, { type: 'ping' }]);
    rig.session.send(PONG_MESSAGE);
    expect(rig.takeSent()).toBe(toHex(PONG, pieceFrame(1)));
  });

  it('has its pong heard, once', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(PING_MESSAGE);
    rig.receive(PONG, PONG);
    expect(rig).toMatchObject({ messages: [PONG_MESSAGE], closeCode: undefined });
  });

  it('sent again before its pong has both heard', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(PING_MESSAGE);
    rig.session.send(PING_MESSAGE);
    rig.receive(PONG, PONG, PONG);
    expect(rig.messages).toEqual([PONG_MESSAGE, PONG_MESSAGE]);
  });

  it('pays for its pong, however often we ask', () => {
    const rig = readyRig(OURS_HELLO);
    for (let asked = 0; asked < 5_000; asked += 1) {
      rig.session.send(PING_MESSAGE);
      rig.receive(PONG);
    }
    expect(rig.closeCode).toBeUndefined();
  });

  it('costs more with padding, by the KiB', () => {
    const rig = readyRig(OURS_HELLO);
    const padded = extended(4, new Uint8Array(1 + 16 * 1024));
    let heard = 0;
    for (; rig.closeCode === undefined; heard += 1) rig.receive(padded);
    expect(rig.closeCode).toBe('chatter-flood');
    // A budget of 4,096, of which the unchoke took 1, at 17 each.
    expect(heard).toBe(240 + 1);
  });

  it('of no request at all has no pong to be heard', () => {
    const rig = readyRig(OURS_HELLO).receive(PONG);
    expect(rig).toMatchObject({ messages: [], closeCode: undefined });
  });
});

it('a request that is cancelled before it is redirected is rejected once', () => {
  const rig = readyRig(OURS_HELLO).receive(requestFrame(0), CANCEL_FRAME_0);
  rig.session.send(REJECT_0);
  rig.session.send(REDIRECT_0);
  rig.session.send(REJECT_0);
  expect(rig.takeSent()).toBe(toHex(REJECT_FRAME_0));
});
