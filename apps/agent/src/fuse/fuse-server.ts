/**
 * Serves the FUSE directory: carries out what a FuseSession wants of each message of the kernel. Bytes at hand leave in the turn
 * in which they were asked for, in one write(2); a read that must wait gets a buffer of its own, and others go on meanwhile.
 * There is no error for "not here yet": such a read waits, and when the agent goes it is the next one's to answer.
 */
import {
  encodeResend,
  type FuseEffect,
  type FuseRead,
  FuseSession,
  OUT_HEADER_LENGTH,
  type Unique,
  uniqueKey,
} from '@bootswarm/fuse-proto';
import { messageOf } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { ForesightedSource, ReadHandle } from '../nbd/export-source.ts';
import { type ReplyAllowance, ReplyBudget } from '../nbd/reply-budget.ts';
import { FuseChannel } from './fuse-channel.ts';
import { type ImageFile, type ImageFiles, imageIdOf } from './image-files.ts';
import type { OpenFiles } from './open-files.ts';
import { ReplyAhead } from './reply-ahead.ts';

export interface FuseServerOptions {
  readonly fd: number;
  readonly files: ImageFiles;
  readonly open: OpenFiles;
  /** Memory for replies that wait. */
  readonly replyBytesMax: number;
  /** Opens an image of which only the name is known. Rejects when there is none. */
  readonly ensure: (imageId: string) => Promise<unknown>;
  readonly log: Logger;
}

export interface FuseServerStatus {
  readonly isMounted: boolean;
  readonly openFiles: number;
  readonly readsWaiting: number;
  readonly replyBytes: number;
}

/** Reads for which there is no memory wait without any; more stay in the kernel, with all that comes behind them. */
const HELD_READS_MAX = 4096;
/** Names that are looked for at the tracker at a time. */
const FINDS_MAX = 64;
/** How soon an image that an open file is of, and that could not be opened, is tried again. */
const ABSENT_RETRY_MS = 1_000;

type Read = FuseRead<ImageFile>;

interface Waiting {
  readonly unique: Unique;
  readonly replyLength: number;
  handle?: ReadHandle;
  isOver: boolean;
}

export class FuseServer {
  readonly #options: FuseServerOptions;
  readonly #session: FuseSession<ImageFile>;
  readonly #channel: FuseChannel;
  readonly #budget: ReplyBudget;
  readonly #allowance: ReplyAllowance = { heldBytes: 0, retry: () => this.#serveHeld() };
  readonly #sources = new Map<number, ForesightedSource>();
  /** By number of the request: reads that the swarm or the disk keeps waiting. */
  readonly #waiting = new Map<number, Waiting>();
  /** In order of arrival: reads for whose bytes there is no memory yet. */
  readonly #held = new Map<number, Read>();
  readonly #ahead = new ReplyAhead();
  /** No agent of this mount has given the same before: it grows slower than the clock does. */
  #nextHandle = Date.now() * 4096;
  #findCount = 0;
  #isMounted = true;
  #isClosed = false;

  constructor(options: FuseServerOptions) {
    this.#options = options;
    this.#session = new FuseSession(options.files);
    this.#budget = new ReplyBudget(options.replyBytesMax);
    for (const { handle, imageId } of options.open.marks()) this.#adopt(handle, imageId);
    this.#channel = new FuseChannel({
      fd: options.fd,
      onMessage: (message) => this.#heard(message),
      onEnd: (reason) => this.#ended(reason),
    });
    const refused = this.#channel.write(encodeResend());
    if (refused === undefined) return;
    options.log.warn(
      { error: refused },
      'this kernel forgets reads of an agent that died (6.9 on)',
    );
  }

  get status(): FuseServerStatus {
    return {
      isMounted: this.#isMounted,
      openFiles: this.#options.open.size,
      readsWaiting: this.#waiting.size + this.#held.size,
      replyBytes: this.#budget.heldBytes,
    };
  }

  /** What waits is not answered: the next agent does, or there is none and the directory is gone. */
  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    for (const waiting of this.#waiting.values()) waiting.handle?.cancel();
    this.#waiting.clear();
    this.#held.clear();
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
  }

  /** A throw here would cost the agent: the request gets no answer, and the log says why. */
  #heard(message: Uint8Array): void {
    try {
      const effect = this.#session.handle(message);
      if (effect.type === 'absent') this.#await(message, effect.unique, effect.handle);
      else this.#carryOut(effect);
    } catch (error) {
      this.#options.log.error({ err: error }, 'FUSE request not answered');
    }
  }

  #carryOut(effect: Exclude<FuseEffect<ImageFile>, { type: 'absent' }>): void {
    switch (effect.type) {
      case 'read':
        return this.#read(effect);
      case 'reply':
        return this.#write(effect.bytes);
      case 'none':
        return;
      case 'open':
        return this.#open(effect.unique, effect.file);
      case 'release':
        this.#write(effect.bytes);
        return this.#release(effect.handle);
      case 'find':
        return this.#find(effect.unique, effect.name);
      case 'interrupt':
        return this.#interrupt(effect.unique);
      case 'broken':
        this.#options.log.error({ error: effect.error.message }, 'FUSE message refused');
        if (effect.bytes) this.#write(effect.bytes);
    }
  }

  /** ENOENT: who asked is gone. */
  #write(bytes: Uint8Array): void {
    const refused = this.#channel.write(bytes);
    if (refused === undefined || refused === 'ENOENT' || refused === 'ENODEV') return;
    this.#options.log.error({ error: refused }, 'the kernel refused a FUSE reply');
  }

  // --- open files ------------------------------------------------------------------------------------------------------

  #open(unique: Unique, file: ImageFile): void {
    const source = file.open();
    if (source === undefined) return this.#write(this.#session.gone(unique));
    const handle = this.#nextHandle;
    this.#nextHandle += 1;
    this.#sources.set(handle, source);
    this.#options.open.add(handle, file.imageId);
    this.#write(this.#session.opened(unique, handle));
  }

  #release(handle: number): void {
    this.#sources.get(handle)?.close();
    this.#sources.delete(handle);
    this.#options.open.delete(handle);
  }

  /** Opened at an agent before us. An image that is not here yet is opened with its first read. */
  #adopt(handle: number, imageId: string): void {
    const source = this.#options.files.ofImage(imageId)?.open();
    if (source) this.#sources.set(handle, source);
  }

  /** A guest has it open, so it is in the cache; but what is damaged there the tracker has to send again. */
  #await(message: Uint8Array, unique: Unique, handle: number): void {
    const { open, ensure, log } = this.#options;
    const imageId = open.imageOf(handle);
    if (imageId === undefined) return this.#write(this.#session.gone(unique));
    const kept = Buffer.from(message);
    const again = (): void => {
      if (!this.#isClosed) this.#heard(kept);
    };
    ensure(imageId).then(again, (error: unknown) => {
      log.error({ image: imageId, error: messageOf(error) }, 'image of an open file not opened');
      setTimeout(again, ABSENT_RETRY_MS).unref();
    });
  }

  #sourceOf({ handle, file }: Read): ForesightedSource | undefined {
    const known = this.#sources.get(handle);
    if (known) return known;
    const source = file.open();
    if (source === undefined) return undefined;
    this.#sources.set(handle, source);
    this.#options.open.add(handle, file.imageId);
    return source;
  }

  #find(unique: Unique, name: string): void {
    const imageId = this.#findCount < FINDS_MAX ? imageIdOf(name) : undefined;
    if (imageId === undefined) return this.#write(this.#session.found(unique, undefined));
    this.#findCount += 1;
    const { ensure, files } = this.#options;
    const answer = (): void => {
      this.#findCount -= 1;
      this.#write(this.#session.found(unique, files.ofImage(imageId)));
    };
    ensure(imageId).then(answer, answer);
  }

  // --- reads -----------------------------------------------------------------------------------------------------------

  #read(read: Read): void {
    const source = this.#sourceOf(read);
    // Let go between the message and now, which only an image without a reader is.
    if (source === undefined) return this.#write(this.#session.gone(read.unique));
    const reply = this.#ahead.replyTo(read, source);
    if (reply === undefined) return this.#hold(read, source);
    this.#session.encodeReadReply(read, reply);
    this.#write(reply);
    if (this.#channel.isStreaming) this.#ahead.prepare(read, source);
  }

  #hold(read: Read, source: ForesightedSource): void {
    const total = OUT_HEADER_LENGTH + read.length;
    if (this.#held.size === 0 && this.#budget.reserve(this.#allowance, total)) {
      this.#wait(read, source);
      return;
    }
    this.#held.set(uniqueKey(read.unique), read);
    if (this.#held.size >= HELD_READS_MAX) this.#channel.pause();
  }

  #serveHeld(): void {
    for (const [key, read] of this.#held) {
      if (!this.#budget.reserve(this.#allowance, OUT_HEADER_LENGTH + read.length)) return;
      this.#held.delete(key);
      this.#wait(read, this.#sourceOf(read));
    }
    this.#channel.resume();
  }

  /** Its memory has been reserved. */
  #wait(read: Read, source: ForesightedSource | undefined): void {
    const { unique } = read;
    const replyLength = OUT_HEADER_LENGTH + read.length;
    if (source === undefined) {
      this.#budget.release(this.#allowance, replyLength);
      return this.#write(this.#session.gone(unique));
    }
    const reply = Buffer.allocUnsafeSlow(replyLength);
    const waiting: Waiting = { unique, replyLength, isOver: false };
    const done = (): void => {
      this.#session.encodeReadReply(read, reply);
      this.#over(waiting, reply);
    };
    waiting.handle = source.read(read.offset, reply.subarray(OUT_HEADER_LENGTH), done);
    if (!waiting.isOver) this.#waiting.set(uniqueKey(unique), waiting);
  }

  #over(waiting: Waiting, reply: Uint8Array): void {
    waiting.isOver = true;
    this.#waiting.delete(uniqueKey(waiting.unique));
    this.#write(reply);
    this.#budget.release(this.#allowance, waiting.replyLength);
  }

  /** Who asked has had a signal: a program that is killed does not end before its read does. */
  #interrupt(unique: Unique): void {
    const key = uniqueKey(unique);
    const held = this.#held.get(key);
    if (held !== undefined) {
      this.#held.delete(key);
      return this.#write(this.#session.interrupted(held.unique));
    }
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    waiting.handle?.cancel();
    this.#over(waiting, this.#session.interrupted(waiting.unique));
  }

  #ended(reason: string): void {
    this.#isMounted = false;
    this.#options.log.error(
      { reason },
      'the FUSE directory was unmounted: start the agent again to mount it',
    );
  }
}
