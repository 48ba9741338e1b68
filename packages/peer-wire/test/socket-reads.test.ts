import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { reopenAccepted } from '../src/socket-reads.ts';

test('an accepted connection is read into one buffer, is written to, and tells its end', async () => {
  const memory = new Set<ArrayBufferLike>();
  let received = '';
  let reopened: Socket | undefined;
  const server = createServer({ pauseOnConnect: true }, (accepted) => {
    reopened = reopenAccepted(accepted, (chunk) => {
      memory.add(chunk.buffer);
      received += Buffer.from(chunk).toString();
      reopened?.write(`${chunk.length} `);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  for (const text of ['some', 'more bytes']) {
    socket.write(text);
    await once(socket, 'data');
  }
  const gone = once(reopened!, 'close');
  socket.end();
  await gone;
  expect(received).toBe('somemore bytes');
  expect(memory.size).toBe(1);
  const closed = once(server, 'close');
  server.close();
  await closed;
});

test('a connection with more than a buffer to read lets others have their turn, and loses nothing', async () => {
  const total = 8 * 1024 * 1024;
  let receivedBytes = 0;
  let inOneTurn = 0;
  let mostInOneTurn = 0;
  const all = Promise.withResolvers<void>();
  const server = createServer({ pauseOnConnect: true }, (accepted) => {
    reopenAccepted(accepted, (chunk) => {
      if (inOneTurn === 0) {
        setImmediate(() => {
          inOneTurn = 0;
        });
      }
      inOneTurn += chunk.length;
      mostInOneTurn = Math.max(mostInOneTurn, inOneTurn);
      receivedBytes += chunk.length;
      // Slow enough for more to come meanwhile.
      for (const end = performance.now() + 0.2; performance.now() < end; );
      if (receivedBytes === total) all.resolve();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const socket = connect(port, '127.0.0.1');
  socket.write(Buffer.alloc(total));
  await all.promise;
  // A last read that filled part of the buffer may come before the one that filled it.
  expect(mostInOneTurn).toBeLessThanOrEqual(2 * 256 * 1024);
  const closed = once(server, 'close');
  socket.destroy();
  server.close();
  await closed;
});
