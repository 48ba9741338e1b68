import { describe, expect, it } from 'vitest';
import {
  BLOCK,
  FOREIGN_HELLO,
  frame,
  hex,
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

describe('a session with a foreign peer', () => {
  it('says have piece by piece', () => {
    const rig = readyRig(FOREIGN_HELLO);
    rig.session.send({ type: 'have', pieceIndexes: [3, 1] });
    expect(rig.takeSent()).toBe(toHex(frame(4, u32(3)), frame(4, u32(1))));
  });

  it('says have-all with a bitfield, and have-none with nothing, to one without BEP 6', () => {
    const rig = readyRig(FOREIGN_HELLO, '0000000000100000');
    rig.session.send({ type: 'have-none' });
    rig.session.send({ type: 'have-all' });
    expect(rig.takeSent()).toBe(toHex(frame(5, hex('ffc0'))));
  });

  it('asks for a piece block by block and joins the answers, in whatever order', () => {
    const rig = readyRig(FOREIGN_HELLO);
    rig.session.send(requestMessage(1));
    const blocks = [0, 1, 2, 3].map((block) => block * BLOCK);
    expect(rig.takeSent()).toBe(toHex(...blocks.map((at) => requestFrame(1, at, BLOCK))));
    rig.receive(
      ...blocks
        .toReversed()
        .map((at) => frame(7, u32(1, at), new Uint8Array(BLOCK).fill(at / BLOCK))),
    );
    const [message] = rig.takeMessages();
    expect(message).toMatchObject({
      type: 'piece',
      pieceIndex: 1,
      offset: 0,
      length: PIECE_LENGTH,
    });
    const payload = message.type === 'piece' ? message.payload : new Uint8Array();
    expect(blocks.map((at) => [payload[at], payload[at + BLOCK - 1]])).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  it('closes for a block that lies across the blocks it asked for', () => {
    const rig = readyRig(FOREIGN_HELLO);
    rig.session.send(requestMessage(1));
    expect(rig.receive(pieceFrame(1, 8, BLOCK)).closeCode).toBe('piece-unrequested');
  });

  it('rejects the piece once when a block is rejected, and cancels the others', () => {
    const rig = readyRig(FOREIGN_HELLO);
    rig.session.send(requestMessage(0));
    rig.takeSent();
    rig.receive(frame(16, u32(0, BLOCK, BLOCK)));
    const cancels = [0, 2, 3].map((block) => frame(8, u32(0, block * BLOCK, BLOCK)));
    expect(rig.takeSent()).toBe(toHex(...cancels));
    for (const block of [0, 2, 3]) rig.receive(frame(16, u32(0, block * BLOCK, BLOCK)));
    expect(rig.takeMessages()).toEqual([REJECT_0]);
  });

  it.each(['0000000000100004', '0000000000100000'])(
    'rejects what was asked when it is choked',
    (reserved) => {
      const rig = readyRig(FOREIGN_HELLO, reserved);
      rig.session.send(requestMessage(0));
      rig.receive(frame(0));
      expect(rig.takeMessages()).toEqual([{ type: 'choke' }, REJECT_0]);
      // A block that was on its way is late, not unasked.
      expect(rig.receive(pieceFrame(0, 0, BLOCK)).closeCode).toBeUndefined();
    },
  );

  it('takes a late reject of what a choke ended for that, and not for the next request', () => {
    const rig = readyRig(FOREIGN_HELLO);
    rig.session.send(requestMessage(0));
    rig.receive(frame(0), frame(1));
    rig.session.send(requestMessage(0));
    rig.takeMessages();
    const blocks = [0, 1, 2, 3].map((block) => block * BLOCK);
    rig.receive(...blocks.map((at) => frame(16, u32(0, at, BLOCK))));
    expect(rig.takeMessages()).toEqual([]);
    rig.receive(...blocks.map((at) => pieceFrame(0, at, BLOCK)));
    expect(rig.takeMessages()).toMatchObject([{ type: 'piece', pieceIndex: 0 }]);
  });

  it('answers a block request with the block', () => {
    const rig = readyRig(FOREIGN_HELLO).receive(requestFrame(9, 100, 900));
    expect(rig.takeMessages()).toEqual([
      { type: 'request', pieceIndex: 9, offset: 100, length: 900, pieceClass: 'fill' },
    ]);
    rig.session.send(pieceMessage(9, 100, 900));
    expect(rig.takeSent()).toBe(toHex(pieceFrame(9, 100, 900)));
  });

  it('pads the end of the image with zeros for one that asks for a whole block there', () => {
    const rig = readyRig(FOREIGN_HELLO).receive(requestFrame(9, 0, BLOCK));
    expect(rig.takeMessages()).toMatchObject([{ type: 'request', pieceIndex: 9, length: 1_000 }]);
    rig.session.send(pieceMessage(9, 0, 1_000));
    const payload = new Uint8Array(BLOCK).fill(10, 0, 1_000);
    expect(rig.takeSent()).toBe(toHex(frame(7, u32(9, 0), payload)));
  });

  it('cancels and rejects such a block by the length it was asked for with', () => {
    const rig = readyRig(FOREIGN_HELLO).receive(requestFrame(9, 0, BLOCK));
    rig.receive(frame(8, u32(9, 0, BLOCK)));
    const [, cancel] = rig.takeMessages();
    const range = { pieceIndex: 9, offset: 0, length: 1_000 };
    expect(cancel).toEqual({ type: 'cancel', ...range });
    rig.session.send({ type: 'reject', ...range });
    expect(rig.takeSent()).toBe(toHex(frame(16, u32(9, 0, BLOCK))));
  });

  it('has no reject for one without BEP 6', () => {
    const rig = readyRig(FOREIGN_HELLO, '0000000000100000').receive(requestFrame(0, 0, BLOCK));
    rig.session.send({ ...REJECT_0, length: BLOCK });
    expect(rig.takeSent()).toBe('');
  });
});
