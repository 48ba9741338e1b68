/**
 * Answers the kernel's requests for one directory of read-only files: a message in, one effect out. It keeps nothing between two
 * messages, so that another process can go on in its place: node ids are the directory's, and open files the runner's.
 *
 * What it refuses, and how, is what libvirt and Nova bear: utime(2) succeeds, chown(2) and chmod(2) get EPERM (ENOSYS would make
 * the start of a VM fail), whoever opens for writing gets EROFS.
 */
import { ProtocolError } from '@bootswarm/stdx';
import {
  ACCESS_MODE_MASK,
  ATTR_GID,
  ATTR_MODE,
  ATTR_MTIME,
  ATTR_SIZE,
  ATTR_UID,
  CHANGING_OPCODES,
  type Errno,
  KERNEL_MAJOR,
  KERNEL_MINOR_MIN,
  OPEN_KEEP_CACHE,
  OUT_HEADER_LENGTH,
  READ_LENGTH_MAX,
  ROOT_NODE_ID,
  SEEK_DATA,
  SEEK_HOLE,
  WRITE_ACCESS_MASK,
} from './constants.ts';
import type { FuseDirectory, FuseFile } from './directory.ts';
import {
  type DirectoryEntry,
  type FuseAttributes,
  writeAttributes,
  writeDirectoryEntry,
  writeEntry,
  writeHeader,
  writeInit,
  writeOpen,
  writeSeek,
  writeStatfs,
} from './reply.ts';
import { type FuseRequest, parseRequest, type Unique, uniqueAt } from './request.ts';

export type FuseEffect<F extends FuseFile> =
  /** Write it, in one write(2), before the next message is handled. */
  | { readonly type: 'reply'; readonly bytes: Uint8Array }
  /** Nobody waits for an answer. */
  | { readonly type: 'none' }
  /** Fill `length` bytes behind OUT_HEADER_LENGTH of a buffer, encodeReadReply() into it, and write it. */
  | FuseRead<F>
  /** Answer with opened() when a handle is there for it. */
  | { readonly type: 'open'; readonly unique: Unique; readonly file: F }
  /** No such file here, but perhaps elsewhere: answer with found(). */
  | { readonly type: 'find'; readonly unique: Unique; readonly name: string }
  /**
   * A read of an open file whose node the directory does not know: handle the message again when it does, or answer with gone().
   */
  | { readonly type: 'absent'; readonly unique: Unique; readonly handle: number }
  | { readonly type: 'release'; readonly handle: number; readonly bytes: Uint8Array }
  /** Who asked for `unique` waits no more. A read that is still open is answered with interrupted(). */
  | { readonly type: 'interrupt'; readonly unique: Unique }
  /** The message broke the rules. `bytes`, if it had a number, is the answer. */
  | { readonly type: 'broken'; readonly error: ProtocolError; readonly bytes?: Uint8Array };

export interface FuseRead<F extends FuseFile> {
  readonly type: 'read';
  readonly unique: Unique;
  readonly file: F;
  readonly handle: number;
  readonly offset: number;
  /** Within the file, at least 1. */
  readonly length: number;
}

/** A directory listing, the longest reply that is not a read: what the kernel asks for at a time. */
const LISTING_BYTES_MAX = 32 * 1024;
/** Offsets of a listing that are no node ids. */
const AFTER_DOT = 1;
const AFTER_DOT_DOT = 2;

const NONE = { type: 'none' } as const;
const ENCODER = new TextEncoder();
const DOT = ENCODER.encode('.');
const DOT_DOT = ENCODER.encode('..');

export class FuseSession<F extends FuseFile> {
  readonly #directory: FuseDirectory<F>;
  readonly #reply = new Uint8Array(OUT_HEADER_LENGTH + LISTING_BYTES_MAX);

  constructor(directory: FuseDirectory<F>) {
    this.#directory = directory;
  }

  /** `message` is one read(2) of /dev/fuse. Never throws for what it says. The bytes of a reply are good until the next call. */
  handle(message: Uint8Array): FuseEffect<F> {
    let request: FuseRequest;
    try {
      request = parseRequest(message);
    } catch (error) {
      if (error instanceof ProtocolError) return this.#broken(error, message);
      throw error;
    }
    return this.#answer(request);
  }

  /** `bytes` holds the data after the first OUT_HEADER_LENGTH bytes, which are filled in. */
  encodeReadReply({ unique }: FuseRead<F>, bytes: Uint8Array): void {
    writeHeader(bytes, unique, bytes.length - OUT_HEADER_LENGTH, undefined);
  }

  opened(unique: Unique, handle: number): Uint8Array {
    // Bytes never change, so what VMs of this host read without O_DIRECT they share.
    return this.#done(unique, writeOpen(this.#reply, OUT_HEADER_LENGTH, handle, OPEN_KEEP_CACHE));
  }

  found(unique: Unique, file: F | undefined): Uint8Array {
    if (file === undefined) return this.#refuse(unique, 'ENOENT');
    return this.#done(unique, writeEntry(this.#reply, OUT_HEADER_LENGTH, file));
  }

  interrupted(unique: Unique): Uint8Array {
    return this.#refuse(unique, 'EINTR');
  }

  /** The node is no file any more: whoever asked by name looks it up again. */
  gone(unique: Unique): Uint8Array {
    return this.#refuse(unique, 'ESTALE');
  }

  #answer(request: FuseRequest): FuseEffect<F> {
    const { unique } = request;
    switch (request.type) {
      case 'read':
        return this.#read(request);
      case 'forget':
        return NONE;
      case 'interrupt':
        return { type: 'interrupt', unique: request.interrupted };
      case 'release': {
        const { handle } = request;
        return { type: 'release', handle, bytes: this.#done(unique, 0) };
      }
      case 'lookup':
        return this.#lookup(request);
      case 'open':
        return this.#open(request);
      case 'getattr':
        return this.#withAttributes(request, (attributes) =>
          this.#done(unique, writeAttributes(this.#reply, OUT_HEADER_LENGTH, attributes)),
        );
      case 'setattr':
        return this.#replyWith(this.#setAttributes(request));
      default:
        return this.#replyWith(this.#answerRarely(request));
    }
  }

  #answerRarely(request: FuseRequest): Uint8Array {
    const { unique } = request;
    switch (request.type) {
      case 'init': {
        const { init } = request;
        if (init.major !== KERNEL_MAJOR || init.minor < KERNEL_MINOR_MIN)
          return this.#refuse(unique, 'EPROTO');
        return this.#done(unique, writeInit(this.#reply, OUT_HEADER_LENGTH, init));
      }
      case 'readdir':
      case 'readdirplus':
        return this.#listing(request);
      case 'statfs': {
        const files = this.#directory.list();
        const bytes = files.reduce((sum, { length }) => sum + length, 0);
        return this.#done(unique, writeStatfs(this.#reply, OUT_HEADER_LENGTH, bytes, files.length));
      }
      case 'lseek':
        return this.#seek(request);
      case 'releasedir':
      case 'destroy':
        return this.#done(unique, 0);
      case 'unknown':
        return this.#refuse(unique, CHANGING_OPCODES.has(request.opcode) ? 'EROFS' : 'ENOSYS');
      case 'opendir':
        // Refused with ENOSYS, the kernel would keep the first listing for as long as mtime is the same.
        if (request.nodeId !== ROOT_NODE_ID) return this.#refuse(unique, 'ENOTDIR');
        return this.#done(unique, writeOpen(this.#reply, OUT_HEADER_LENGTH, 0, 0));
      default:
        // ACCESS: default_permissions has the kernel decide itself.
        return this.#refuse(unique, 'ENOSYS');
    }
  }

  #read(request: Extract<FuseRequest, { type: 'read' }>): FuseEffect<F> {
    const { unique, nodeId, handle, offset } = request;
    if (nodeId === ROOT_NODE_ID) return this.#refused(unique, 'EISDIR');
    const file = this.#directory.get(nodeId);
    if (file === undefined) return { type: 'absent', unique, handle };
    if (request.length > READ_LENGTH_MAX) return this.#refused(unique, 'EINVAL');
    const length = Math.min(request.length, file.length - offset);
    if (length <= 0) return this.#replyWith(this.#done(unique, 0));
    return { type: 'read', unique, file, handle, offset, length };
  }

  #lookup({ unique, nodeId, name }: Extract<FuseRequest, { type: 'lookup' }>): FuseEffect<F> {
    if (nodeId !== ROOT_NODE_ID) return this.#refused(unique, 'ENOTDIR');
    const file = this.#directory.find(name);
    if (file === undefined) return { type: 'find', unique, name };
    return this.#replyWith(this.found(unique, file));
  }

  #open({ unique, nodeId, flags }: Extract<FuseRequest, { type: 'open' }>): FuseEffect<F> {
    if (nodeId === ROOT_NODE_ID) return this.#refused(unique, 'EISDIR');
    const access = flags & ACCESS_MODE_MASK;
    // 1: to write, 2: to read and write; 3 is for ioctl(2) only, and none is known here.
    if (access === 1 || (access & WRITE_ACCESS_MASK) !== 0) return this.#refused(unique, 'EROFS');
    const file = this.#directory.get(nodeId);
    if (file === undefined) return this.#refused(unique, 'ESTALE');
    return { type: 'open', unique, file };
  }

  #setAttributes(request: Extract<FuseRequest, { type: 'setattr' }>): Uint8Array {
    const { unique, nodeId, valid, mtime } = request;
    if ((valid & (ATTR_UID | ATTR_GID | ATTR_MODE)) !== 0) return this.#refuse(unique, 'EPERM');
    if ((valid & ATTR_SIZE) !== 0) return this.#refuse(unique, 'EROFS');
    if (nodeId === ROOT_NODE_ID) return this.#refuse(unique, 'EPERM');
    const file = this.#directory.get(nodeId);
    if (file === undefined) return this.#refuse(unique, 'ESTALE');
    if ((valid & ATTR_MTIME) !== 0) {
      if (!Number.isSafeInteger(mtime)) return this.#refuse(unique, 'EINVAL');
      file.mtime = mtime;
    }
    return this.#done(unique, writeAttributes(this.#reply, OUT_HEADER_LENGTH, file));
  }

  #listing(request: Extract<FuseRequest, { type: 'readdir' | 'readdirplus' }>): Uint8Array {
    const { unique, nodeId, offset, type } = request;
    if (nodeId !== ROOT_NODE_ID) return this.#refuse(unique, 'ENOTDIR');
    const end = OUT_HEADER_LENGTH + Math.min(request.length, LISTING_BYTES_MAX);
    let at = OUT_HEADER_LENGTH;
    for (const entry of this.#entriesAfter(offset)) {
      const length = writeDirectoryEntry(this.#reply, at, end, entry, type === 'readdirplus');
      if (length === 0) break;
      at += length;
    }
    return this.#done(unique, at - OUT_HEADER_LENGTH);
  }

  *#entriesAfter(offset: number): Generator<DirectoryEntry> {
    const attributes = this.#root();
    if (offset < AFTER_DOT) yield { name: DOT, next: AFTER_DOT, attributes };
    if (offset < AFTER_DOT_DOT) yield { name: DOT_DOT, next: AFTER_DOT_DOT, attributes };
    for (const file of this.#directory.list()) {
      if (file.nodeId <= offset) continue;
      yield { name: ENCODER.encode(file.name), next: file.nodeId, attributes: file };
    }
  }

  /** As lseek(2): from an offset in a hole to data and the other way round; the end of the file is a hole. */
  #seek(request: Extract<FuseRequest, { type: 'lseek' }>): Uint8Array {
    const { unique, nodeId, offset, whence } = request;
    const file = this.#directory.get(nodeId);
    if (file === undefined) return this.#refuse(unique, 'ESTALE');
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return this.#refuse(unique, 'EINVAL');
    if (offset >= file.length) return this.#refuse(unique, 'ENXIO');
    const found = file.seek(offset, whence === SEEK_DATA ? 'data' : 'hole');
    if (whence === SEEK_DATA && found >= file.length) return this.#refuse(unique, 'ENXIO');
    return this.#done(unique, writeSeek(this.#reply, OUT_HEADER_LENGTH, found));
  }

  #withAttributes(
    { unique, nodeId }: FuseRequest,
    encode: (attributes: FuseAttributes) => Uint8Array,
  ): FuseEffect<F> {
    const attributes = nodeId === ROOT_NODE_ID ? this.#root() : this.#directory.get(nodeId);
    if (attributes === undefined) return this.#refused(unique, 'ESTALE');
    return this.#replyWith(encode(attributes));
  }

  #root(): FuseAttributes {
    const { mtime } = this.#directory;
    return { nodeId: ROOT_NODE_ID, isDirectory: true, length: 0, allocatedBytes: 0, mtime };
  }

  #replyWith(bytes: Uint8Array): FuseEffect<F> {
    return { type: 'reply', bytes };
  }

  #refused(unique: Unique, errno: Errno): FuseEffect<F> {
    return this.#replyWith(this.#refuse(unique, errno));
  }

  #refuse(unique: Unique, errno: Errno): Uint8Array {
    writeHeader(this.#reply, unique, 0, errno);
    return this.#reply.subarray(0, OUT_HEADER_LENGTH);
  }

  #done(unique: Unique, payloadLength: number): Uint8Array {
    writeHeader(this.#reply, unique, payloadLength, undefined);
    return this.#reply.subarray(0, OUT_HEADER_LENGTH + payloadLength);
  }

  /** A request without its number, or one that wants no answer, gets none. */
  #broken(error: ProtocolError, message: Uint8Array): FuseEffect<F> {
    if (message.length < 16) return { type: 'broken', error };
    const unique = uniqueAt(message, 8);
    if (unique.low === 0 && unique.high === 0) return { type: 'broken', error };
    return { type: 'broken', error, bytes: this.#refuse(unique, 'EIO') };
  }
}
