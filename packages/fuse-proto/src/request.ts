/**
 * A message of the kernel as a value. Every field that is used is checked against the message's length; what a field may say is
 * the session's matter. The layouts are those of <linux/fuse.h>.
 */
import { ProtocolError } from '@bootswarm/stdx';
import { IN_HEADER_LENGTH, NAME_LENGTH_MAX, OPCODES } from './constants.ts';
import { readUint32, readUint64 } from './wire-integer.ts';

/** The kernel's number of a request, in two halves: its highest bit says that the request was sent before, to another process. */
export interface Unique {
  readonly low: number;
  readonly high: number;
}

interface RequestHead {
  readonly unique: Unique;
  readonly nodeId: number;
}

export interface ReadRequest extends RequestHead {
  readonly type: 'read';
  readonly handle: number;
  readonly offset: number;
  readonly length: number;
}

export type FuseRequest =
  | (RequestHead & { readonly type: 'init'; readonly init: InitRequest })
  | (RequestHead & { readonly type: 'lookup'; readonly name: string })
  | (RequestHead & { readonly type: 'getattr' | 'opendir' | 'releasedir' | 'statfs' | 'access' })
  | (RequestHead & { readonly type: 'setattr'; readonly valid: number; readonly mtime: number })
  | (RequestHead & { readonly type: 'open'; readonly flags: number })
  | ReadRequest
  | (RequestHead & { readonly type: 'release'; readonly handle: number })
  | (RequestHead & {
      readonly type: 'readdir' | 'readdirplus';
      readonly offset: number;
      readonly length: number;
    })
  | (RequestHead & {
      readonly type: 'lseek';
      readonly offset: number;
      readonly whence: number;
    })
  | (RequestHead & { readonly type: 'interrupt'; readonly interrupted: Unique })
  | (RequestHead & { readonly type: 'forget' | 'destroy' })
  | (RequestHead & { readonly type: 'unknown'; readonly opcode: number });

export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  readonly readAheadMax: number;
  readonly flags: number;
}

type RequestType = Exclude<FuseRequest['type'], 'unknown'>;

const TYPES: ReadonlyMap<number, RequestType> = new Map<number, RequestType>([
  ...Object.entries(OPCODES).map(([type, opcode]): [number, RequestType] => [
    opcode,
    type as RequestType,
  ]),
  [OPCODES.batchForget, 'forget'],
]);

/** Bytes after the header that are read below. FLUSH is left to `unknown`: after one ENOSYS the kernel does not ask again. */
const ARGUMENT_LENGTHS: Readonly<Partial<Record<RequestType, number>>> = {
  init: 16,
  setattr: 88,
  open: 8,
  read: 40,
  release: 24,
  readdir: 40,
  readdirplus: 40,
  lseek: 24,
  interrupt: 8,
};

const NAME_DECODER = new TextDecoder();

export function uniqueAt(bytes: Uint8Array, at: number): Unique {
  return { low: readUint32(bytes, at), high: readUint32(bytes, at + 4) };
}

/** Two requests that are both under way never have the same: the bit for a request that was sent before does not count. */
export function uniqueKey({ low, high }: Unique): number {
  return (high & 0x001f_ffff) * 2 ** 32 + low;
}

/** `bytes` is one message, whole, as read(2) gives it. Throws ProtocolError; `bytes` is not kept. */
export function parseRequest(bytes: Uint8Array): FuseRequest {
  if (bytes.length < IN_HEADER_LENGTH) throw refused('message-short', { length: bytes.length });
  const told = readUint32(bytes, 0);
  if (told !== bytes.length) throw refused('message-length', { told, length: bytes.length });
  const opcode = readUint32(bytes, 4);
  const head = { unique: uniqueAt(bytes, 8), nodeId: readUint64(bytes, 16) };
  const type = TYPES.get(opcode);
  if (type === undefined) return { type: 'unknown', opcode, ...head };
  const needed = IN_HEADER_LENGTH + (ARGUMENT_LENGTHS[type] ?? 0);
  if (bytes.length < needed) throw refused('arguments-short', { opcode, length: bytes.length });
  return parseArguments(type, head, bytes);
}

function parseArguments(type: RequestType, head: RequestHead, bytes: Uint8Array): FuseRequest {
  const at = IN_HEADER_LENGTH;
  switch (type) {
    case 'init':
      return { type, ...head, init: parseInit(bytes) };
    case 'lookup':
      return { type, ...head, name: parseName(bytes) };
    case 'setattr':
      return { type, ...head, valid: readUint32(bytes, at), mtime: readUint64(bytes, at + 40) };
    case 'open':
      return { type, ...head, flags: readUint32(bytes, at) };
    case 'release':
      return { type, ...head, handle: readUint64(bytes, at) };
    case 'read':
    case 'readdir':
    case 'readdirplus': {
      const offset = readUint64(bytes, at + 8);
      const length = readUint32(bytes, at + 16);
      if (type !== 'read') return { type, ...head, offset, length };
      return { type, ...head, handle: readUint64(bytes, at), offset, length };
    }
    case 'lseek': {
      const offset = readUint64(bytes, at + 8);
      return { type, ...head, offset, whence: readUint32(bytes, at + 16) };
    }
    case 'interrupt':
      return { type, ...head, interrupted: uniqueAt(bytes, at) };
    default:
      return { type, ...head };
  }
}

function parseInit(bytes: Uint8Array): InitRequest {
  const at = IN_HEADER_LENGTH;
  return {
    major: readUint32(bytes, at),
    minor: readUint32(bytes, at + 4),
    readAheadMax: readUint32(bytes, at + 8),
    flags: readUint32(bytes, at + 12),
  };
}

/** Up to its NUL. What is not UTF-8 names nothing of ours. */
function parseName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0, IN_HEADER_LENGTH);
  if (end < 0) throw refused('name-open', { length: bytes.length });
  if (end - IN_HEADER_LENGTH > NAME_LENGTH_MAX) throw refused('name-long', { end });
  return NAME_DECODER.decode(bytes.subarray(IN_HEADER_LENGTH, end));
}

function refused(code: string, data: Record<string, unknown>): ProtocolError {
  return new ProtocolError(code, data);
}
