/**
 * The transmission phase: parses requests, refuses what is wrong or would write, cuts reads into zero and data extents, and
 * bounds how much is in flight (proto.md, "Transmission"). Reads are answered by the runner, in any order.
 */
import { assert, ProtocolError } from '@bootswarm/stdx';
import * as nbd from './constants.ts';
import type { CloseEffect, NbdEffect, ReadEffect, ReadRequest } from './effect.ts';
import type { NbdExport } from './export.ts';
import type { Agreement } from './handshake.ts';
import type { Cookie } from './reply-encoder.ts';
import * as reply from './reply-encoder.ts';
import type { SegmentReader } from './segment-reader.ts';
import { readUint16, readUint32, readUint64 } from './wire-integer.ts';

interface Request extends Cookie {
  readonly flags: number;
  readonly command: number;
  readonly offset: number;
  readonly length: number;
}

/** A refused WRITE, whose payload runs past before its reply is due. */
interface RefusedWrite {
  readonly cookie: Cookie;
  left: number;
}

export class Transmission {
  readonly #export: NbdExport;
  readonly #isStructured: boolean;
  readonly #hasBlockStatus: boolean;
  #readsInFlight = 0;
  #readBytesInFlight = 0;
  /** The read being cut into extents. */
  #cutting: ReadRequest | undefined;
  #refusedWrite: RefusedWrite | undefined;
  #isDisconnecting = false;
  #hasInputEnded = false;

  constructor(agreement: Agreement<NbdExport>) {
    this.#export = agreement.export;
    this.#isStructured = agreement.isStructured;
    this.#hasBlockStatus = agreement.hasBlockStatus;
  }

  /** After NBD_CMD_DISC: "a client MUST NOT send anything" more, and what it sends all the same is not read. */
  get isDisconnecting(): boolean {
    return this.#isDisconnecting;
  }

  /** No bytes will follow those in the reader; the requests among them are still answered. */
  endInput(): void {
    this.#hasInputEnded = true;
  }

  /** The next effect, with the bytes there are; undefined when it needs more of them, or answers to its reads. */
  poll(reader: SegmentReader): NbdEffect | undefined {
    while (this.#hasRoom()) {
      if (this.#cutting !== undefined) return this.#cut(this.#cutting);
      if (this.#refusedWrite !== undefined) {
        if (!drain(reader, this.#refusedWrite)) break;
        return this.#refuseWrite(this.#refusedWrite);
      }
      if (this.#isDisconnecting || !reader.take(nbd.REQUEST_HEADER_LENGTH)) break;
      const effect = this.#request(reader.bytes, reader.at);
      if (effect !== undefined) return effect;
    }
    // Idle, there was room for all that the reader held: nothing is left unread but what follows NBD_CMD_DISC.
    const isLast = this.#isDisconnecting || this.#hasInputEnded;
    return isLast && this.#isIdle() ? ORDERLY_CLOSE : undefined;
  }

  /** Fills in the reply header of a read whose data `bytes` now holds, and takes it out of flight. */
  encodeReadReply({ request, offset, length }: ReadEffect, bytes: Uint8Array): void {
    assert(request.readsOutstanding > 0, 'a read is answered twice');
    request.readsOutstanding--;
    this.#readsInFlight--;
    this.#readBytesInFlight -= length;
    if (request.isStructured) {
      reply.writeDataHeader(bytes, request, isDone(request), offset, length);
    } else {
      reply.writeSimpleHeader(bytes, request, 0);
    }
  }

  /** False while the client has asked for as much as it may before answers go out. */
  #hasRoom(): boolean {
    return (
      this.#readsInFlight < nbd.READS_IN_FLIGHT_MAX &&
      this.#readBytesInFlight < nbd.READ_BYTES_IN_FLIGHT_MAX
    );
  }

  #isIdle(): boolean {
    return this.#readsInFlight === 0 && this.#cutting === undefined;
  }

  #request(bytes: Uint8Array, at: number): NbdEffect | undefined {
    if (readUint32(bytes, at) !== nbd.NBD_REQUEST_MAGIC) {
      return { type: 'close', error: new ProtocolError('bad-request-magic') };
    }
    const request: Request = {
      flags: readUint16(bytes, at + 4),
      command: readUint16(bytes, at + 6),
      cookieHigh: readUint32(bytes, at + 8),
      cookieLow: readUint32(bytes, at + 12),
      offset: readUint64(bytes, at + 16),
      length: readUint32(bytes, at + 24),
    };
    switch (request.command) {
      case nbd.NBD_CMD_READ:
        return this.#read(request);
      case nbd.NBD_CMD_WRITE:
        this.#refusedWrite = { cookie: request, left: request.length };
        return undefined;
      case nbd.NBD_CMD_TRIM:
      case nbd.NBD_CMD_WRITE_ZEROES:
        return this.#refuse(request, nbd.NBD_EPERM, 'read-only export');
      case nbd.NBD_CMD_DISC:
        this.#isDisconnecting = true;
        return undefined;
      case nbd.NBD_CMD_FLUSH:
        return this.#flush(request);
      case nbd.NBD_CMD_CACHE:
        return this.#cache(request);
      case nbd.NBD_CMD_BLOCK_STATUS:
        return this.#blockStatus(request);
      default:
        return this.#refuse(request, nbd.NBD_EINVAL, 'unknown command');
    }
  }

  #read(request: Request): NbdEffect | undefined {
    const fault =
      this.#flagFault(request, this.#isStructured ? nbd.NBD_CMD_FLAG_DF : 0) ??
      this.#rangeFault(request) ??
      (request.length > nbd.READ_LENGTH_MAX ? 'read longer than 32 MiB' : undefined);
    if (fault !== undefined) return this.#refuse(request, nbd.NBD_EINVAL, fault);
    const { cookieHigh, cookieLow, offset, length } = request;
    const read: ReadRequest = {
      cookieHigh,
      cookieLow,
      isStructured: this.#isStructured,
      next: offset,
      end: offset + length,
      readsOutstanding: 0,
    };
    // One content chunk, zeroes and all, is what DF asks for and all that a simple reply can say.
    if (!this.#isStructured || request.flags !== 0) return this.#dataEffect(read, read.end);
    return this.#cut(read);
  }

  /** The reply to the next extent of a read: a hole chunk, or an effect that fetches the data. */
  #cut(request: ReadRequest): NbdEffect {
    const start = request.next;
    const isZero = this.#export.isZeroAt(start);
    const end = this.#extentEnd(start, request.end);
    this.#cutting = end < request.end ? request : undefined;
    if (!isZero) return this.#dataEffect(request, end);
    request.next = end;
    return { type: 'write', bytes: reply.encodeHole(request, isDone(request), start, end - start) };
  }

  #dataEffect(request: ReadRequest, end: number): ReadEffect {
    const offset = request.next;
    const length = end - offset;
    request.next = end;
    request.readsOutstanding++;
    this.#readsInFlight++;
    this.#readBytesInFlight += length;
    const replyHeaderLength = request.isStructured
      ? nbd.DATA_CHUNK_HEADER_LENGTH
      : nbd.SIMPLE_REPLY_LENGTH;
    return { type: 'read', offset, length, replyHeaderLength, request };
  }

  #refuseWrite(write: RefusedWrite): NbdEffect {
    this.#refusedWrite = undefined;
    return this.#refuse(write.cookie, nbd.NBD_EPERM, 'read-only export');
  }

  #flush(request: Request): NbdEffect {
    const fault =
      this.#flagFault(request, 0) ??
      (request.offset !== 0 || request.length !== 0 ? 'flush of a range' : undefined);
    if (fault !== undefined) return this.#refuse(request, nbd.NBD_EINVAL, fault);
    return { type: 'write', bytes: reply.encodeDone(request, this.#isStructured) };
  }

  #cache(request: Request): NbdEffect {
    const fault = this.#flagFault(request, 0) ?? this.#rangeFault(request);
    if (fault !== undefined) return this.#refuse(request, nbd.NBD_EINVAL, fault);
    const bytes = reply.encodeDone(request, this.#isStructured);
    return { type: 'cache', offset: request.offset, length: request.length, bytes };
  }

  #blockStatus(request: Request): NbdEffect {
    const fault =
      (this.#hasBlockStatus ? undefined : 'no metadata context selected') ??
      this.#flagFault(request, nbd.NBD_CMD_FLAG_REQ_ONE) ??
      this.#rangeFault(request);
    if (fault !== undefined) return this.#refuse(request, nbd.NBD_EINVAL, fault);
    const extentsMax = request.flags !== 0 ? 1 : nbd.EXTENTS_MAX;
    const extents = this.#extents(request.offset, request.offset + request.length, extentsMax);
    return { type: 'write', bytes: reply.encodeBlockStatus(request, extents) };
  }

  /** Length and status of each extent in turn; neighbours differ in status, and none is empty. */
  #extents(offset: number, end: number, extentsMax: number): number[] {
    const extents: number[] = [];
    for (let start = offset; start < end; ) {
      const status = this.#export.isZeroAt(start) ? nbd.NBD_STATE_HOLE | nbd.NBD_STATE_ZERO : 0;
      const extentEnd = this.#extentEnd(start, end);
      if (extents.at(-1) === status) {
        extents[extents.length - 2] += extentEnd - start;
      } else {
        if (extents.length === 2 * extentsMax) break;
        extents.push(extentEnd - start, status);
      }
      start = extentEnd;
    }
    return extents;
  }

  #extentEnd(offset: number, limit: number): number {
    const end = this.#export.extentEnd(offset, limit);
    // An empty extent would send a client, and us, round in circles.
    assert(end > offset && end <= limit, 'extentEnd() leaves its range');
    return end;
  }

  #flagFault(request: Request, allowed: number): string | undefined {
    return (request.flags & ~allowed) === 0 ? undefined : 'flag not valid for this command';
  }

  #rangeFault({ offset, length }: Request): string | undefined {
    if (length === 0) return 'empty range';
    return offset + length > this.#export.length ? 'range past the end of the export' : undefined;
  }

  #refuse(cookie: Cookie, error: number, message: string): NbdEffect {
    return { type: 'write', bytes: reply.encodeError(cookie, this.#isStructured, error, message) };
  }
}

const ORDERLY_CLOSE: CloseEffect = { type: 'close', error: undefined };

/** Drops what has arrived of the payload; true when that was the last of it. */
function drain(reader: SegmentReader, write: RefusedWrite): boolean {
  write.left -= reader.skip(write.left);
  return write.left === 0;
}

/** Nothing of the read is left to cut or to answer: the chunk now encoded is its last. */
function isDone(request: ReadRequest): boolean {
  return request.next === request.end && request.readsOutstanding === 0;
}
