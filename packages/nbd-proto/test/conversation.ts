/** A session with a client's bytes going in and everything that happens written down. */
import type {
  CacheEffect,
  CloseEffect,
  NbdExport,
  NbdExportDirectory,
  ReadEffect,
  TlsPolicy,
} from '../src/index.ts';
import { NbdSession } from '../src/index.ts';
import { CLIENT_FLAGS, infoData, join, metaContextData, OPTION, option, text } from './wire.ts';

/** 1 MiB of which [64 KiB, 128 KiB) and the last 64 KiB are zero, elsewhere byte i is i mod 251. */
export const DISK: NbdExport = {
  name: 'disk',
  description: 'a disk',
  length: 1024 * 1024,
  preferredBlockLength: 65_536,
  isZeroAt: (offset) => isZeroPiece(Math.floor(offset / 65_536)),
  extentEnd(offset, limit) {
    const piece = Math.floor(offset / 65_536);
    let end = piece + 1;
    while (end < 16 && isZeroPiece(end) === isZeroPiece(piece)) end++;
    return Math.min(end * 65_536, limit);
  },
};

function isZeroPiece(index: number): boolean {
  return index === 1 || index === 15;
}

export function diskBytes(offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) =>
    DISK.isZeroAt(offset + index) ? 0 : (offset + index) % 251,
  );
}

/** `exported` is found as 'disk' and as the default export. */
export function directoryOf(exported: NbdExport): NbdExportDirectory<NbdExport> {
  return {
    find: (name) => (name === 'disk' || name === '' ? exported : undefined),
    list: () => ['disk', 'disk@vm'],
  };
}

interface ConversationOptions {
  readonly exported?: NbdExport;
  /** Otherwise reads gather in `reads`. */
  readonly answersAtOnce?: boolean;
  readonly tls?: TlsPolicy;
}

/** A client that has negotiated nothing. */
export function simple(options: ConversationOptions = {}): Conversation {
  const conversation = new Conversation(options);
  conversation.say(CLIENT_FLAGS, option(OPTION.exportName, text('disk')));
  return conversation;
}

/** A client like QEMU: structured replies, base:allocation. */
export function structured(options: ConversationOptions = {}): Conversation {
  const conversation = new Conversation(options);
  conversation.say(
    CLIENT_FLAGS,
    option(OPTION.structuredReply),
    option(OPTION.setMetaContext, metaContextData('disk', ['base:allocation'])),
    option(OPTION.go, infoData('disk', [3])),
  );
  return conversation;
}

export class Conversation {
  readonly session: NbdSession<NbdExport>;
  /** Reads handed out and not answered, when `answersAtOnce` is false. */
  readonly reads: ReadEffect[] = [];
  readonly cached: CacheEffect[] = [];
  close: CloseEffect | undefined;
  /** TLS was asked for and granted: what is said from now on counts as decrypted. */
  isSecured = false;
  bufferedLengthMax = 0;
  readonly #answersAtOnce: boolean;
  #sent: Uint8Array[] = [];

  constructor({ exported = DISK, answersAtOnce = true, tls }: ConversationOptions = {}) {
    this.session = new NbdSession(directoryOf(exported), tls);
    this.#answersAtOnce = answersAtOnce;
    this.#drain();
    this.sent();
  }

  /** Everything written since the last call. */
  sent(): Uint8Array {
    const bytes = join(...this.#sent);
    this.#sent = [];
    return bytes;
  }

  /** Hands in one segment, or several; returns what is written. */
  say(...segments: readonly Uint8Array[]): Uint8Array {
    for (const segment of segments) {
      this.session.handle(segment);
      this.#drain();
      this.bufferedLengthMax = Math.max(this.bufferedLengthMax, this.session.bufferedLength);
    }
    return this.sent();
  }

  hangUp(): Uint8Array {
    this.session.handleEnd();
    this.#drain();
    return this.sent();
  }

  /** Answers one waiting read; returns what is written, the answer first. */
  answer(read: ReadEffect): Uint8Array {
    this.reads.splice(this.reads.indexOf(read), 1);
    this.#encode(read);
    this.#drain();
    return this.sent();
  }

  #encode(read: ReadEffect): void {
    const reply = new Uint8Array(read.replyHeaderLength + read.length);
    reply.set(diskBytes(read.offset, read.length), read.replyHeaderLength);
    this.session.encodeReadReply(read, reply);
    this.#sent.push(reply);
  }

  #drain(): void {
    for (;;) {
      const effect = this.session.poll();
      if (effect === undefined) return;
      switch (effect.type) {
        case 'write':
          this.#sent.push(effect.bytes);
          break;
        case 'start-tls':
          this.isSecured = true;
          this.#sent.push(effect.bytes);
          return;
        case 'read':
          if (this.#answersAtOnce) this.#encode(effect);
          else this.reads.push(effect);
          break;
        case 'cache':
          this.cached.push(effect);
          this.#sent.push(effect.bytes);
          break;
        case 'close':
          this.close = effect;
      }
    }
  }
}
