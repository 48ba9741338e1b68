/** How the bytes of sockets come in: all into one buffer, so that no memory is taken for a read. */
import { Socket, type SocketConstructorOpts } from 'node:net';

/**
 * One for all connections: what is read from a socket is handled before the next one is read. Four reads of the length that
 * Node would allocate for each: a piece of 64 KiB seldom needs a second one.
 */
const receiveBuffer = Buffer.allocUnsafeSlow(256 * 1024);

/**
 * For `onread` of a socket. The chunk is the caller's only within the call. libuv reads a socket that has more up to 32 times
 * before another has its turn, which is 8 MiB here, and milliseconds for a guest that waits: so others have theirs after each
 * full buffer.
 */
export function readsInto(receive: (chunk: Uint8Array) => void, socketOf: () => Socket) {
  const goOn = (): void => void socketOf().resume();
  return {
    buffer: receiveBuffer,
    callback: (length: number): boolean => {
      receive(receiveBuffer.subarray(0, length));
      if (length < receiveBuffer.length) return true;
      setImmediate(goOn);
      return false;
    },
  };
}

interface HasHandle {
  _handle: object | null;
}

/**
 * The connection of `accepted` as a socket that reads so; `accepted` is none any more. net.Server cannot be told `onread`, and 64
 * KiB outside the heap for each read keep the garbage collector busy: a fifth of what receiving a piece costs. `handle` is
 * not documented for this, and is how net.Server itself makes its sockets.
 */
export function reopenAccepted(accepted: Socket, receive: (chunk: Uint8Array) => void): Socket {
  const shell = accepted as unknown as HasHandle;
  const handle = shell._handle;
  shell._handle = null;
  accepted.destroy();
  const onread = readsInto(receive, () => socket);
  const options = { handle, readable: true, writable: true, onread };
  const socket = new Socket(options as SocketConstructorOpts);
  return socket;
}
