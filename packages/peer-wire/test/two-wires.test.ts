import { createServer } from 'node:net';
import { Bitfield } from '@bootswarm/stdx';
import { describe, expect, it } from 'vitest';
import { frame, handshake, makeSwarm, OURS_HELLO, PIECE_LENGTH } from './messages.ts';
import {
  cleanups,
  connectTwo,
  dial,
  Ear,
  gone,
  listen,
  pieceOf,
  rangeOf,
  rawSocket,
} from './real-wires.ts';

describe('two wires', () => {
  it('know each other by node, zone and rack', async () => {
    const { a, b } = await connectTwo();
    expect(a.identities).toEqual([makeSwarm({ node: 'b' }).self]);
    expect(b.identities).toEqual([makeSwarm({ node: 'a' }).self]);
    expect(a.wire?.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('exchange what they have', async () => {
    const node = await listen();
    const b = dial(node.port);
    await b.ready();
    const [a] = node.ears;
    await a.ready();
    const bitfield = new Bitfield(10);
    bitfield.set(3);
    a.wire?.send({ type: 'bitfield', bitfield });
    expect((await b.next('bitfield')).bitfield.toBytes()).toEqual(bitfield.toBytes());
    a.wire?.send({ type: 'have', pieceIndexes: [0, 1, 2, 7] });
    expect(await b.next('have')).toEqual({ type: 'have', pieceIndexes: [0, 1, 2, 7] });
    b.wire?.send({ type: 'interested' });
    expect(await a.next('interested')).toEqual({ type: 'interested' });
  });

  it('move pieces, each on a buffer of its own', async () => {
    const { a, b } = await connectTwo();
    a.react = (message) => {
      if (message.type === 'request') a.wire?.send(pieceOf(message.pieceIndex));
    };
    for (const pieceIndex of [1, 2, 3]) {
      b.wire?.send({ type: 'request', ...rangeOf(pieceIndex), pieceClass: 'demand' });
    }
    for (const pieceIndex of [1, 2, 3]) {
      const { payload, ...message } = await b.next('piece');
      expect(message).toEqual({ type: 'piece', ...rangeOf(pieceIndex) });
      expect(payload.every((byte) => byte === pieceIndex)).toBe(true);
      expect(payload.buffer.byteLength).toBe(PIECE_LENGTH);
    }
    // A round trip later the kernel has said that it took the last batch.
    b.wire?.send({ type: 'interested' });
    await a.next('interested');
    b.wire?.send({ type: 'not-interested' });
    await a.next('not-interested');
    expect(a.wire?.queuedBytes).toBe(0);
    expect(b.wire?.bytesReceived).toBe(a.wire?.bytesSent);
    expect(b.wire?.bytesReceived).toBeGreaterThan(3 * PIECE_LENGTH);
  });

  it('carry the class of a request, and its raise', async () => {
    const { a, b } = await connectTwo();
    b.wire?.send({ type: 'request', ...rangeOf(1), pieceClass: 'boot-order' });
    expect(await a.next('request')).toMatchObject({ pieceIndex: 1, pieceClass: 'boot-order' });
    b.wire?.send({ type: 'priority', pieceIndex: 1, pieceClass: 'demand' });
    expect(await a.next('priority')).toMatchObject({ pieceIndex: 1, pieceClass: 'demand' });
  });

  it('ask and answer whether the other is there', async () => {
    const { a, b } = await connectTwo();
    a.react = (message) => {
      if (message.type !== 'ping') return;
      a.wire?.send({ type: 'pong', bytesPerMs: message.padding });
    };
    b.wire?.send({ type: 'ping', padding: 60_000 });
    expect(await b.next('pong')).toEqual({ type: 'pong', bytesPerMs: 60_000 });
  });

  it('carry a failed lease to the origin, and a redirect from it', async () => {
    const origin = makeSwarm({ node: 'a' });
    const node = await listen({ ...origin, self: { ...origin.self, isOrigin: true } });
    const b = dial(node.port);
    await b.ready();
    const [a] = node.ears;
    await a.ready();
    a.wire?.send({ type: 'unchoke' });
    await b.next('unchoke');
    b.wire?.send({ type: 'request', ...rangeOf(1), pieceClass: 'fill', failedLease: 7 });
    expect(await a.next('request')).toMatchObject({ pieceIndex: 1, failedLease: 7 });
    const redirect = { type: 'redirect', pieceIndex: 1, lease: 8, node: 'c' } as const;
    a.wire?.send(redirect);
    a.wire?.send({ type: 'reject', ...rangeOf(1) });
    expect(await b.next('redirect')).toEqual(redirect);
    expect(await b.next('reject')).toMatchObject({ pieceIndex: 1 });
  });

  it('cancel and reject', async () => {
    const { a, b } = await connectTwo();
    b.wire?.send({ type: 'request', ...rangeOf(1), pieceClass: 'fill' });
    b.wire?.send({ type: 'request', ...rangeOf(2), pieceClass: 'fill' });
    b.wire?.send({ type: 'cancel', ...rangeOf(1) });
    expect(await a.next('cancel')).toEqual({ type: 'cancel', ...rangeOf(1) });
    a.wire?.send({ type: 'reject', ...rangeOf(1) });
    a.wire?.send({ type: 'reject', ...rangeOf(2) });
    expect(await b.next('reject')).toEqual({ type: 'reject', ...rangeOf(2) });
  });

  it('hear of the end once, with its reason', async () => {
    const { a, b } = await connectTwo();
    a.wire?.close('not-needed');
    a.wire?.close('again');
    expect(a.closeCode).toBeUndefined();
    expect(await a.closed()).toBe('not-needed');
    expect(await b.closed()).toBe('peer-closed');
    b.wire?.send({ type: 'interested' });
  });

  it('live on when a third one throws in a handler', async () => {
    const node = await listen();
    const bad = dial(node.port, { swarm: makeSwarm({ node: 'bad' }) });
    const good = dial(node.port, { swarm: makeSwarm({ node: 'good' }) });
    await Promise.all([bad.ready(), good.ready()]);
    const error = new Error('a mistake in a handler');
    bad.react = () => {
      throw error;
    };
    await Promise.all(node.ears.map((ear) => ear.ready()));
    for (const ear of node.ears) ear.wire?.send({ type: 'unchoke' });
    expect(await bad.closed()).toBe('internal-error');
    expect(bad.cause).toBe(error);
    expect(bad.mistakes).toEqual([error]);
    await good.next('unchoke');
    expect(good.closeCode).toBeUndefined();
  });

  it('tell of every mistake of ours, those included that have nothing left to cost', async () => {
    const node = await listen();
    const [inTheEnd, afterClosing] = [dial(node.port), dial(node.port)];
    await Promise.all([inTheEnd.ready(), afterClosing.ready()]);
    const error = new Error('a mistake in a handler');
    const accepted = node.ears[0];
    accepted.onClose = () => {
      throw error;
    };
    afterClosing.react = () => {
      afterClosing.wire?.close('enough');
      throw error;
    };
    await Promise.all(node.ears.map((ear) => ear.ready()));
    for (const ear of node.ears) ear.wire?.send({ type: 'unchoke' });
    expect(await afterClosing.closed()).toBe('enough');
    expect(afterClosing.mistakes).toEqual([error]);
    inTheEnd.wire?.close('over');
    await node.listener.close();
    expect(node.mistakes).toEqual([[error, accepted.wire?.address]]);
  });

  it('tell of a mistake that is made before the swarm is known', async () => {
    const error = new Error('a mistake in the lookup');
    const node = await listen(undefined, {
      lookup: () => {
        throw error;
      },
    });
    expect(await dial(node.port).closed()).toBe('peer-closed');
    expect(node.mistakes).toEqual([[error, expect.any(String)]]);
  });

  it('hear nothing more after closing within a handler', async () => {
    const { a, b } = await connectTwo();
    b.react = () => b.wire?.close('enough');
    a.wire?.send({ type: 'interested' });
    a.wire?.send({ type: 'not-interested' });
    expect(await b.closed()).toBe('enough');
    expect(b.messages).toEqual([{ type: 'interested' }]);
  });
});

describe('a wire', () => {
  it('says when nobody listens', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    expect(await dial(port).closed()).toBe('socket-econnrefused');
  });

  it('closes when it finds itself', async () => {
    const swarm = makeSwarm({ node: 'a' });
    const node = await listen(swarm);
    const dialed = dial(node.port, { swarm });
    await dialed.closed();
    expect(await node.ears[0].closed()).toBe('self-connection');
  });

  it('closes when the far end does not know the swarm', async () => {
    const node = await listen();
    const stranger = dial(node.port, { swarm: makeSwarm({ infoHash: new Uint8Array(20) }) });
    expect(await stranger.closed()).toBe('peer-closed');
    expect(node.ears).toEqual([]);
  });

  it('closes when the far end never shakes hands', async () => {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    const { port } = server.address() as { port: number };
    const dialed = dial(port, { limits: { handshakeTimeoutMs: 20 } });
    expect(await dialed.closed()).toBe('handshake-late');
  });

  it('says nothing of what came before when it is closed as soon as it is ready', async () => {
    const swarm = makeSwarm({ node: 'a' });
    const ear = new Ear();
    const node = await listen(swarm, {
      lookup: () => ({
        swarm,
        handlersFor: (wire) => {
          ear.onReady = () => wire.close('not-wanted');
          return ear;
        },
      }),
    });
    const socket = rawSocket(node.port);
    socket.write(Buffer.concat([handshake(), frame(14), OURS_HELLO]));
    expect(await ear.closed()).toBe('not-wanted');
    expect(ear.messages).toEqual([]);
  });

  it('sends keep-alives, and closes when nothing comes back', async () => {
    const node = await listen(undefined, {
      limits: { idleTimeoutMs: 400, keepAliveMs: 1, tickMs: 5 },
    });
    const socket = rawSocket(node.port);
    const received: Buffer[] = [];
    socket.on('data', (chunk) => received.push(chunk));
    socket.write(Buffer.concat([handshake(), OURS_HELLO]));
    await gone(socket);
    expect(await node.ears[0].closed()).toBe('idle');
    expect(Buffer.concat(received).subarray(-4)).toEqual(Buffer.alloc(4));
  });
});
