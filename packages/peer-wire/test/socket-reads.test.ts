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
