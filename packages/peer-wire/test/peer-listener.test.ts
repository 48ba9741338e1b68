import { describe, expect, it } from 'vitest';

import { frame, handshake, makeSwarm, OURS_HELLO, PIECE_LENGTH, u32 } from './messages.ts';
import { dial, Ear, gone, listen, pieceOf, rawSocket } from './real-wires.ts';

describe('PeerListener', () => {
  it('closes a connection that never says anything', async () => {
    const node = await listen(undefined, { limits: { handshakeTimeoutMs: 20 } });
    await gone(rawSocket(node.port));
    expect(node.ears).toEqual([]);
  });

  it('closes a connection that stops within the handshake', async () => {
    const node = await listen(undefined, { limits: { handshakeTimeoutMs: 20 } });
    const socket = rawSocket(node.port);
    socket.write(handshake().subarray(0, 67));
    await gone(socket);
    expect(node.ears).toEqual([]);
  });

  it('takes a peer that never sends its extended handshake for a foreign one', async () => {
    const node = await listen(undefined, { limits: { handshakeTimeoutMs: 200 } });
    const socket = rawSocket(node.port);
    socket.write(handshake());
    await new Promise((resolve) => socket.once('data', resolve));
    await node.ears[0].ready();
    expect(node.ears[0].identities).toMatchObject([{ kind: 'foreign', client: '' }]);
  });

  it('closes strangers that send rubbish, and serves the others', async () => {
    const node = await listen();
    const known = dial(node.port);
    await known.ready();
    const rubbish = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([handshake(), Buffer.alloc(1_000, 0xff)]),
      Buffer.concat([handshake(), u32(0x80000000), Buffer.alloc(100_000)]),
      Buffer.concat([handshake(), frame(20, Buffer.from('\0l-3:'))]),
      Buffer.concat([handshake(), OURS_HELLO, Buffer.alloc(100_000)]),
    ];
    for (const bytes of rubbish) {
      const socket = rawSocket(node.port);
      socket.write(bytes);
      await gone(socket);
    }
    const codes = node.ears.slice(1).map(({ closeCode }) => closeCode);
    expect(codes).toEqual([
      'message-too-long',
      'message-too-long',
      'bencode-syntax',
      'chatter-flood',
    ]);
    known.wire?.send({ type: 'interested' });
    await node.ears[0].next('interested');
  });

  it('closes a peer that stops reading what it asks for', async () => {
    // More than the kernel takes of it.
    const limits = { writeStallMs: 50, tickMs: 10, queuedBytesHigh: 8 * 1024 * 1024 };
    const pieceCount = 256;
    const swarm = makeSwarm({ node: 'a', pieceCount, length: pieceCount * PIECE_LENGTH });
    const node = await listen(swarm, { limits });
    const socket = rawSocket(node.port);
    socket.pause();
    socket.write(Buffer.concat([handshake(), OURS_HELLO]));
    await new Promise((resolve) => socket.once('readable', resolve));
    const [ear] = node.ears;
    await ear.ready();
    ear.react = (message) => {
      // As many as the wire takes: the rest would be sent on drain.
      if (message.type === 'request' && !ear.wire?.isCongested)
        ear.wire?.send(pieceOf(message.pieceIndex));
    };
    ear.wire?.send({ type: 'unchoke' });
    const requests = Array.from({ length: pieceCount }, (_, index) =>
      frame(6, u32(index, 0, PIECE_LENGTH)),
    );
    socket.write(Buffer.concat(requests));
    expect(await ear.closed()).toBe('write-stalled');
    expect(ear.wire?.queuedBytes).toBeLessThan(9 * 1024 * 1024);
  });

  it('closes a peer that neither reads nor stops asking at the hard cap', async () => {
    const limits = { queuedBytesHigh: 1_000, queuedBytesSlack: 1_000, writeBatchBytes: 1_000 };
    const swarm = makeSwarm({ node: 'a', hashes: () => new Uint8Array(576 * 32) });
    const node = await listen(swarm, { limits });
    const socket = rawSocket(node.port);
    socket.write(
      Buffer.concat([handshake(), OURS_HELLO, ...Array(10).fill(frame(21, new Uint8Array(48)))]),
    );
    await gone(socket);
    expect(await node.ears[0].closed()).toBe('egress-overflow');
  });

  it('drops connections beyond its limit of unidentified ones, and no others', async () => {
    const node = await listen(undefined, { unidentifiedMax: 1 });
    const known = dial(node.port);
    await known.ready();
    await node.ears[0].ready();
    const first = rawSocket(node.port);
    await new Promise((resolve) => first.once('connect', resolve));
    await gone(rawSocket(node.port));
    expect(known.closeCode).toBeUndefined();
    expect(node.listener.connectionCount).toBe(2);
  });

  it('drops connections beyond its limit of all', async () => {
    const node = await listen(undefined, { connectionsMax: 1 });
    const known = dial(node.port);
    await known.ready();
    await node.ears[0].ready();
    await gone(rawSocket(node.port));
    expect(node.listener.connectionCount).toBe(1);
  });

  it('serves many swarms on one port', async () => {
    const swarms = [1, 2].map((id) =>
      makeSwarm({ node: `s${id}`, infoHash: new Uint8Array(20).fill(id) }),
    );
    const node = await listen(undefined, {
      lookup: (hash) => {
        const swarm = swarms.find(({ infoHash }) => Buffer.from(infoHash).toString('hex') === hash);
        return swarm && { swarm, handlersFor: () => new Ear() };
      },
    });
    const ears = swarms.map(({ infoHash }) => dial(node.port, { swarm: makeSwarm({ infoHash }) }));
    await Promise.all(ears.map((ear) => ear.ready()));
    expect(ears.map((ear) => ear.identities)).toMatchObject([[{ node: 's1' }], [{ node: 's2' }]]);
  });

  it('says what to do when its port is taken', async () => {
    const { port } = await listen();
    const second = listen(undefined, { port });
    await expect(second).rejects.toMatchObject({ code: 'peer-port-unavailable' });
  });

  it('closes what it accepted when it closes', async () => {
    const node = await listen();
    const dialed = dial(node.port);
    await dialed.ready();
    await node.listener.close();
    expect(node.ears[0].closeCode).toBe('listener-closed');
    // A reset when the listener had bytes of the peer that it never read.
    expect(await dialed.closed()).toMatch(/^(peer-closed|socket-econnreset)$/);
  });
});
