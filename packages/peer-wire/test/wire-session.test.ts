import { Bitfield } from '@bootswarm/stdx';
import { describe, expect, it } from 'vitest';
import {
  extended,
  FOREIGN_HELLO,
  frame,
  handshake,
  hex,
  makeSwarm,
  OUR_IDS,
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
import { readyRig, SessionRig } from './session-rig.ts';

describe('a session', () => {
  it('answers a handshake with its own and an extended handshake', () => {
    const rig = new SessionRig().receive(handshake());
    const sent = rig.takeSent();
    expect(sent.slice(0, 136)).toBe(toHex(handshake({ peerId: makeSwarm().peerId })));
    const payload = `d2:bsd1:n4:test1:oi0e1:r2:r11:vi1e1:z2:z1e1:m${OUR_IDS}4:reqqi512e1:v13:bootswarm 0.1e`;
    expect(sent.slice(136)).toBe(toHex(extended(0, payload)));
  });

  it('sends no extended handshake to a peer that does not offer BEP 10', () => {
    const rig = new SessionRig().receive(handshake({ reserved: '0000000000000004' }));
    expect(rig.takeSent()).toHaveLength(136);
    expect(rig.identities).toEqual([{ kind: 'foreign', client: '', requestsInFlightMax: 33 }]);
  });

  it('knows one of ours by its extended handshake', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO);
    expect(rig.identities).toEqual([
      { kind: 'ours', node: 'n1', zone: 'z1', rack: 'r1', isOrigin: false },
    ]);
  });

  it('tells how many whole pieces a foreign peer lets wait', () => {
    const rig = new SessionRig().receive(handshake(), FOREIGN_HELLO);
    expect(rig.identities).toEqual([
      { kind: 'foreign', client: 'Other 1.0', requestsInFlightMax: 17 },
    ]);
  });

  it('refuses foreign peers where they may not join', () => {
    const swarm = makeSwarm({ foreignPeersAllowed: false });
    const rig = new SessionRig({ swarm }).receive(handshake(), FOREIGN_HELLO);
    expect(rig).toMatchObject({ identities: [], closeCode: 'foreign-peer-refused' });
  });

  it('hears what a peer said before its extended handshake after it knows the peer', () => {
    const rig = new SessionRig().receive(handshake(), frame(14), frame(2));
    expect(rig.takeMessages()).toEqual([]);
    rig.receive(OURS_HELLO);
    expect(rig.takeMessages()).toEqual([{ type: 'have-all' }, { type: 'interested' }]);
  });

  it('takes a peer whose extended handshake is late for a foreign one', () => {
    const rig = new SessionRig().receive(handshake(), frame(14));
    rig.session.identifyAsForeign(5_000);
    expect(rig.identities).toMatchObject([{ kind: 'foreign', client: '' }]);
    expect(rig.takeMessages()).toEqual([{ type: 'have-all' }]);
  });

  it('hears a bitfield', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO, frame(5, hex('8040')));
    const [message] = rig.takeMessages();
    expect(message.type === 'bitfield' && toHex(message.bitfield.toBytes())).toBe('8040');
  });

  it('lets a hash request be answered, or rejects it', () => {
    const swarm = makeSwarm({
      hashes: ({ index }) => (index === 2 ? new Uint8Array(64).fill(0xaa) : undefined),
    });
    const rig = new SessionRig({ swarm }).receive(handshake(), FOREIGN_HELLO);
    rig.takeSent();
    const root = new Uint8Array(32).fill(7);
    rig.receive(frame(21, root, u32(2, 2, 2, 0)), frame(21, root, u32(2, 4, 2, 0)));
    const answers = [
      frame(22, root, u32(2, 2, 2, 0), new Uint8Array(64).fill(0xaa)),
      frame(23, root, u32(2, 4, 2, 0)),
    ];
    expect(rig.takeSent()).toBe(toHex(...answers));
  });
});

describe('a session with one of ours', () => {
  it.each([
    ['choke after unchoke', { type: 'choke' }, '0000000100'],
    ['interested', { type: 'interested' }, '0000000102'],
    ['bitfield', { type: 'bitfield', bitfield: Bitfield.full(10) }, '0000000305ffc0'],
    ['have-all', { type: 'have-all' }, '000000010e'],
    ['have-none', { type: 'have-none' }, '000000010f'],
    ['have as a batch', { type: 'have', pieceIndexes: [1, 2, 3] }, '0000000a14018000000100000003'],
    ['request', requestMessage(1), '0000000d06000000010000000000010000'],
    [
      'request with its class before it',
      { ...requestMessage(1), pieceClass: 'demand' },
      '0000000714020000000100 0000000d06000000010000000000010000',
    ],
  ] as const)('encodes %s', (_, message, bytes) => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(message);
    expect(rig.takeSent()).toBe(toHex(hex(bytes)));
  });

  it('splits a have of more pieces than a batch takes', () => {
    const swarm = makeSwarm({ pieceCount: 20_000, length: 20_000 * PIECE_LENGTH });
    const rig = new SessionRig({ swarm }).receive(handshake(), OURS_HELLO);
    rig.takeSent();
    rig.session.send({ type: 'have', pieceIndexes: Array.from({ length: 5_000 }, (_, at) => at) });
    const batches = [extended(1, u32(0x80000000, 4_096)), extended(1, u32(0x80001000, 904))];
    expect(rig.takeSent()).toBe(toHex(...batches));
  });

  it('gives a request the class that was said just before it', () => {
    const rig = readyRig(OURS_HELLO);
    rig.receive(extended(2, hex('0000000300')), requestFrame(3), requestFrame(4));
    expect(rig.takeMessages()).toMatchObject([
      { type: 'request', pieceIndex: 3, pieceClass: 'demand' },
      { type: 'request', pieceIndex: 4, pieceClass: 'fill' },
    ]);
  });

  it('raises an open request', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(3), extended(2, hex('0000000300')));
    const [, priority] = rig.takeMessages();
    expect(priority).toEqual({ type: 'priority', pieceIndex: 3, pieceClass: 'demand' });
  });

  it('sends the raise of an outstanding request only', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send({ type: 'priority', pieceIndex: 1, pieceClass: 'demand' });
    expect(rig.takeSent()).toBe('');
    rig.session.send(requestMessage(1));
    rig.takeSent();
    rig.session.send({ type: 'priority', pieceIndex: 1, pieceClass: 'demand' });
    expect(rig.takeSent()).toBe(toHex(extended(2, hex('0000000100'))));
  });

  it('sends demand before what was queued earlier, and control before both', () => {
    const rig = readyRig(OURS_HELLO);
    rig.receive(requestFrame(1), requestFrame(2), extended(2, hex('0000000300')), requestFrame(3));
    for (const pieceIndex of [1, 2, 3]) rig.session.send(pieceMessage(pieceIndex));
    rig.session.send({ type: 'interested' });
    const order = [frame(2), pieceFrame(3), pieceFrame(1), pieceFrame(2)];
    expect(rig.takeSent()).toBe(toHex(...order));
  });

  it('moves a queued piece when its request is raised', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(1), requestFrame(2));
    for (const pieceIndex of [1, 2]) rig.session.send(pieceMessage(pieceIndex));
    rig.receive(extended(2, hex('0000000200')));
    expect(rig.takeSent()).toBe(toHex(pieceFrame(2), pieceFrame(1)));
    expect(rig.takeMessages()).toHaveLength(2);
  });

  it('sends one answer to a request, whatever the owner says again', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(1));
    rig.session.send(pieceMessage(1));
    rig.session.send(pieceMessage(1));
    rig.session.send({ ...REJECT_0, pieceIndex: 1 });
    expect(rig.takeSent()).toBe(toHex(pieceFrame(1)));
  });

  it('sends no piece that was not asked for', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(pieceMessage(1));
    expect(rig.takeSent()).toBe('');
  });

  it('rejects a queued piece that is cancelled, without asking the owner', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(0), requestFrame(1));
    rig.session.send(pieceMessage(0));
    rig.session.send(pieceMessage(1));
    rig.receive(frame(8, u32(0, 0, PIECE_LENGTH)));
    const sent = [frame(16, u32(0, 0, PIECE_LENGTH)), pieceFrame(1)];
    expect(rig.takeSent()).toBe(toHex(...sent));
    expect(rig.takeMessages().map(({ type }) => type)).toEqual(['request', 'request']);
  });

  it('hands on the cancel of an open request, and sends the reject the owner answers with', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(0));
    rig.receive(frame(8, u32(0, 0, PIECE_LENGTH)));
    const [, cancel] = rig.takeMessages();
    expect(cancel).toEqual({ ...REJECT_0, type: 'cancel' });
    rig.session.send(REJECT_0);
    expect(rig.takeSent()).toBe(toHex(frame(16, u32(0, 0, PIECE_LENGTH))));
  });

  it('hears every piece that a peer gets after its bitfield', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO, frame(5, hex('0000')));
    rig.takeMessages();
    for (let pieceIndex = 0; pieceIndex < 10; pieceIndex += 1) {
      rig.receive(frame(4, u32(pieceIndex)));
      expect(rig.takeMessages()).toEqual([{ type: 'have', pieceIndexes: [pieceIndex] }]);
    }
  });

  it('reads a piece straight into its message, and sends nothing when it is not at hand', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(3));
    let isAtHand = false;
    const source = {
      readNow: (pieceIndex: number, offset: number, target: Uint8Array) => {
        target.fill(pieceIndex + offset + 1);
        return isAtHand;
      },
    };
    expect(rig.session.sendPiece(source, 3, 0, PIECE_LENGTH)).toBe(false);
    expect(rig.takeSent()).toBe('');
    isAtHand = true;
    expect(rig.session.sendPiece(source, 3, 0, PIECE_LENGTH)).toBe(true);
    expect(rig.takeSent()).toBe(toHex(pieceFrame(3)));
    // Answered: nothing is open that could be answered once more.
    expect(rig.session.sendPiece(source, 3, 0, PIECE_LENGTH)).toBe(true);
    expect(rig.takeSent()).toBe('');
  });

  it('receives whole pieces into buffers of the swarm, which may be given back', () => {
    const swarm = makeSwarm();
    const rig = new SessionRig({ swarm }).receive(handshake(), OURS_HELLO, frame(1));
    const spare = swarm.pieceBuffers.take();
    swarm.pieceBuffers.give(spare);
    rig.takeMessages();
    for (const pieceIndex of [1, 2]) {
      rig.session.send(requestMessage(pieceIndex));
      rig.receive(pieceFrame(pieceIndex));
      const [message] = rig.takeMessages();
      const payload = message.type === 'piece' ? message.payload : undefined;
      expect(payload).toBe(spare);
      expect(spare.every((byte) => byte === pieceIndex + 1)).toBe(true);
      swarm.pieceBuffers.give(spare);
    }
  });

  it('sends the piece when the owner answers a cancel with it', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(0));
    rig.receive(frame(8, u32(0, 0, PIECE_LENGTH)));
    rig.session.send(pieceMessage(0));
    expect(rig.takeSent()).toBe(toHex(pieceFrame(0)));
  });

  it('takes a cancelled request again', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(0));
    rig.receive(frame(8, u32(0, 0, PIECE_LENGTH)));
    rig.session.send(REJECT_0);
    rig.takeSent();
    rig.receive(requestFrame(0));
    rig.session.send(pieceMessage(0));
    expect(rig.takeSent()).toBe(toHex(pieceFrame(0)));
  });

  it('rejects all that is open when it chokes, queued pieces included, each once', () => {
    const rig = readyRig(OURS_HELLO).receive(requestFrame(0), requestFrame(1), requestFrame(2));
    rig.session.send(pieceMessage(0));
    rig.receive(frame(8, u32(1, 0, PIECE_LENGTH)));
    rig.session.send({ type: 'choke' });
    rig.session.send({ ...REJECT_0, pieceIndex: 2 });
    const rejects = [0, 1, 2].map((pieceIndex) => frame(16, u32(pieceIndex, 0, PIECE_LENGTH)));
    expect(rig.takeSent()).toBe(toHex(frame(0), ...rejects));
  });

  it('rejects requests while it chokes, without asking the owner', () => {
    const rig = new SessionRig().receive(handshake(), OURS_HELLO);
    rig.takeSent();
    rig.receive(requestFrame(1));
    expect(rig.takeSent()).toBe(toHex(frame(16, u32(1, 0, PIECE_LENGTH))));
    expect(rig.takeMessages()).toEqual([]);
  });

  it('hands on a piece that was asked for', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(requestMessage(1));
    rig.receive(pieceFrame(1));
    const [message] = rig.takeMessages();
    expect(message).toMatchObject({
      type: 'piece',
      pieceIndex: 1,
      offset: 0,
      length: PIECE_LENGTH,
    });
    expect(message.type === 'piece' && message.payload.every((byte) => byte === 2)).toBe(true);
  });

  it.each([
    ['twice', [pieceFrame(1), pieceFrame(1)]],
    ['of the wrong length', [pieceFrame(1, 0, PIECE_LENGTH - 1)]],
    ['at the wrong offset', [pieceFrame(1, 1, PIECE_LENGTH - 1)]],
    ['of another index', [pieceFrame(2)]],
  ])('closes for a piece %s', (_, frames) => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(requestMessage(1));
    expect(rig.receive(...frames).closeCode).toBe('piece-unrequested');
  });

  it('tolerates a piece that crossed its cancel, once', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(requestMessage(0));
    rig.session.send({ ...REJECT_0, type: 'cancel' });
    expect(rig.receive(pieceFrame(0)).closeCode).toBeUndefined();
    expect(rig.receive(pieceFrame(0)).closeCode).toBe('piece-unrequested');
  });

  it('takes the reject of a cancelled request for that, and not for the next request', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(requestMessage(0));
    rig.session.send({ ...REJECT_0, type: 'cancel' });
    rig.session.send(requestMessage(0));
    rig.receive(frame(16, u32(0, 0, PIECE_LENGTH)));
    expect(rig.takeMessages()).toEqual([]);
    rig.receive(pieceFrame(0));
    expect(rig.takeMessages()).toMatchObject([{ type: 'piece', pieceIndex: 0 }]);
  });

  it('rejects a request of our own while the peer chokes us, in a later turn', () => {
    const rig = readyRig(OURS_HELLO).receive(frame(0));
    rig.takeMessages();
    rig.session.send(requestMessage(0));
    expect(rig.messages).toEqual([]);
    rig.settle();
    expect(rig.takeMessages()).toEqual([REJECT_0]);
  });

  it('does not ask again for what is outstanding', () => {
    const rig = readyRig(OURS_HELLO);
    rig.session.send(requestMessage(0));
    rig.session.send(requestMessage(0));
    expect(rig.takeSent()).toBe(toHex(requestFrame(0)));
  });
});
