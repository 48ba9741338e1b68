/**
 * One read of an NBD export on a unix socket (fixed newstyle, simple replies): there is no program to start, so it can be
 * timed.
 */
import { connect, type Socket } from 'node:net';
import { optionOf, requestOf } from '../nbd-client.ts';

/** NBDMAGIC, IHAVEOPT and flags; then size and flags of the export. */
const GREETING_LENGTH = 18;
const EXPORT_LENGTH = 10;
const REPLY_HEADER_LENGTH = 16;

/** Rejects when the server closes before the bytes are there. */
export function readOverNbd(
  socketPath: string,
  exportName: string,
  offset: number,
  length: number,
): Promise<void> {
  const socket = connect({ path: socketPath });
  socket.write(optionOf(exportName));
  socket.write(requestOf(offset, length));
  const expected = GREETING_LENGTH + EXPORT_LENGTH + REPLY_HEADER_LENGTH + length;
  return received(socket, expected).finally(() => socket.destroy());
}

function received(socket: Socket, expected: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes >= expected) resolve();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${bytes} of ${expected} bytes, then closed`)));
  });
}
