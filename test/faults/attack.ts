/** Throws bytes at a socket and watches what becomes of the connection. What the bytes are is the caller's. */
import { connect, type Socket } from 'node:net';
import { Random } from '@bootswarm/stdx';

export type Target = { readonly host: string; readonly port: number } | { readonly path: string };

export function targetOf(address: string): Target {
  const { hostname, port } = new URL(address.includes('//') ? address : `tcp://${address}`);
  return { host: hostname, port: Number(port) };
}

/** Longer than the timeouts for handshakes and hellos, shorter than any for idleness. */
const PATIENCE_MS = 15_000;

/** Sends all of it, reads what comes, and resolves with that when the far end has closed; rejects if it does not. */
export function attack(
  target: Target,
  ...bytes: readonly (Uint8Array | string)[]
): Promise<Buffer> {
  return conversation(target, bytes, false);
}

/** As attack(), but closes its own side after the last byte: for bytes after which more could still come. */
export function attackAndLeave(target: Target, ...bytes: readonly (Uint8Array | string)[]) {
  return conversation(target, bytes, true);
}

/** Sends and reads nothing. The caller destroys it. */
export async function attackWithoutReading(target: Target, bytes: Uint8Array): Promise<Socket> {
  const socket = connect(target);
  socket.on('error', () => {});
  socket.pause();
  socket.write(bytes);
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

function conversation(
  target: Target,
  bytes: readonly (Uint8Array | string)[],
  doesLeave: boolean,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect({ ...target, allowHalfOpen: false });
  const received: Buffer[] = [];
  const timer = setTimeout(() => {
    reject(new Error(`still open after ${Buffer.concat(received).toString('latin1')}`));
    socket.destroy();
  }, PATIENCE_MS);
  socket.on('data', (chunk) => received.push(chunk));
  // A far end that closes with our bytes unread resets the connection: as good as any other end.
  socket.on('error', () => {});
  socket.on('close', () => {
    clearTimeout(timer);
    resolve(Buffer.concat(received));
  });
  for (const part of bytes) socket.write(part);
  if (doesLeave) socket.end();
  return promise;
}

export function repeated(count: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

/** A masked frame of one client message (RFC 6455 §5.2). */
export function webSocketFrame(opcode: number, payload: Uint8Array, isFinal = true): Uint8Array {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = (isFinal ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (head.length === 2 ? length : head.length === 4 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  // A mask of zeros changes nothing.
  return Buffer.concat([head, Buffer.alloc(4), payload]);
}

/** The code in the first close frame of what a server sent; undefined when there is none. */
export function closeCodeIn(answer: Buffer): number | undefined {
  for (let at = answer.indexOf('\r\n\r\n') + 4; at + 4 <= answer.length; ) {
    const length = answer[at + 1];
    if (length >= 126) throw new Error('a frame too long for this reader');
    if (answer[at] === 0x88 && length >= 2) return answer.readUInt16BE(at + 2);
    at += 2 + length;
  }
  return undefined;
}

export function randomBytes(length: number, seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length }, () => random.below(256));
}
