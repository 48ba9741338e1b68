/** What a server's bytes say, as far as two correct servers agree: which options were granted, and the answer to each request. */
import { createHash } from 'node:crypto';

/** A request that the client has sent; simple replies do not say how long they are. */
export interface SentRequest {
  readonly cookie: number;
  readonly command: number;
  readonly offset: number;
  readonly length: number;
}

export interface Transcript {
  /** Each answer to an option: its number, and ACK, refused, or the kind of information. */
  readonly options: readonly string[];
  /** By cookie. */
  readonly replies: ReadonlyMap<number, Reply>;
}

export interface Reply {
  /** 0, or an errno of NBD. */
  error: number;
  /** Of the bytes of a read, put together from all chunks. */
  digest: string;
  /** What BLOCK_STATUS tells: H for each 512 bytes of hole, d for each of data. */
  map: string;
}

const GREETING_LENGTH = 18;
const OPTION_REPLY = 0x0003e889;
const SIMPLE_REPLY = 0x67446698;
const STRUCTURED_REPLY = 0x668e33ef;
const DONE = 1;
const EXPORT_INFO = '0';
const META_CONTEXT = ' reply 4';
/** Of transmission flags, what every read-only export has: HAS_FLAGS, READ_ONLY. */
const FLAGS = 3;

export function transcriptOf(bytes: Buffer, sent: readonly SentRequest[]): Transcript {
  const reader = new TranscriptReader(bytes, sent);
  reader.readAll();
  return { options: reader.options, replies: reader.replies };
}

class TranscriptReader {
  readonly options: string[] = [];
  readonly replies = new Map<number, Reply>();
  readonly #bytes: Buffer;
  readonly #sent: Map<number, SentRequest>;
  readonly #data = new Map<number, Buffer>();
  #at = GREETING_LENGTH;

  constructor(bytes: Buffer, sent: readonly SentRequest[]) {
    this.#bytes = bytes;
    this.#sent = new Map(sent.map((request) => [request.cookie, request]));
  }

  readAll(): void {
    while (this.#at < this.#bytes.length) {
      const magic = this.#bytes.readUInt32BE(this.#at);
      if (magic === OPTION_REPLY) this.#option();
      else if (magic === SIMPLE_REPLY) this.#simple();
      else if (magic === STRUCTURED_REPLY) this.#chunk();
      else this.#exportName();
    }
    for (const [cookie, data] of this.#data) {
      this.replies.get(cookie)!.digest = createHash('sha256').update(data).digest('hex');
    }
  }

  #option(): void {
    const [option, type, length] = [8, 12, 16].map((at) => this.#bytes.readUInt32BE(this.#at + at));
    const payload = this.#bytes.subarray(this.#at + 20, this.#at + 20 + length);
    this.#at += 20 + length;
    if (type >= 0x80000000) this.options.push(`${option} refused`);
    else if (type !== 3) this.#granted(`${option} reply ${type}`);
    else if (`${payload.readUInt16BE(0)}` === EXPORT_INFO) {
      this.options.push(`${option} ${sizeAndFlags(payload.subarray(2))}`);
    }
  }

  /** A context that is asked for twice may be told twice. */
  #granted(answer: string): void {
    if (!answer.endsWith(META_CONTEXT) || this.options.at(-1) !== answer) this.options.push(answer);
  }

  /** No magic, and 124 zeroes behind it that a client may have asked to be left out. */
  #exportName(): void {
    this.options.push(`1 ${sizeAndFlags(this.#bytes.subarray(this.#at))}`);
    this.#at += 10;
    const zeroes = this.#bytes.subarray(this.#at, this.#at + 124);
    if (zeroes.length === 124 && zeroes.every((byte) => byte === 0)) this.#at += 124;
  }

  #simple(): void {
    const error = this.#bytes.readUInt32BE(this.#at + 4);
    const cookie = Number(this.#bytes.readBigUInt64BE(this.#at + 8));
    this.#at += 16;
    const { command, length } = this.#sent.get(cookie)!;
    this.#reply(cookie).error = error;
    if (command !== 0 || error !== 0) return;
    this.#keep(cookie, 0, this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
  }

  #chunk(): void {
    const bytes = this.#bytes.subarray(this.#at);
    const isDone = (bytes.readUInt16BE(4) & DONE) !== 0;
    const cookie = Number(bytes.readBigUInt64BE(8));
    const payload = bytes.subarray(20, 20 + bytes.readUInt32BE(16));
    this.#at += 20 + payload.length;
    const reply = this.#reply(cookie);
    if (!isDone && bytes.readUInt16BE(6) === 0) throw new Error('a chunk that says nothing');
    switch (bytes.readUInt16BE(6)) {
      case 1:
        return this.#keep(cookie, Number(payload.readBigUInt64BE(0)), payload.subarray(8));
      case 2:
        return this.#keep(
          cookie,
          Number(payload.readBigUInt64BE(0)),
          Buffer.alloc(payload.readUInt32BE(8)),
        );
      case 5:
        for (let at = 4; at < payload.length; at += 8) {
          const isHole = payload.readUInt32BE(at + 4) !== 0;
          reply.map += (isHole ? 'H' : 'd').repeat(payload.readUInt32BE(at) / 512);
        }
        return;
      case 0x8001:
        reply.error = payload.readUInt32BE(0);
    }
  }

  #reply(cookie: number): Reply {
    const reply = this.replies.get(cookie) ?? { error: 0, digest: '', map: '' };
    this.replies.set(cookie, reply);
    return reply;
  }

  /** `at` counts from the start of the disk in chunks, and from that of the read in simple replies. */
  #keep(cookie: number, at: number, bytes: Buffer): void {
    const { offset, length } = this.#sent.get(cookie)!;
    const data = this.#data.get(cookie) ?? Buffer.alloc(length, 0xee);
    this.#data.set(cookie, data);
    this.#reply(cookie);
    const start = at === 0 && bytes.length === length ? 0 : at - offset;
    if (bytes.copy(data, start) !== bytes.length) throw new Error('data beyond what was asked for');
  }
}

function sizeAndFlags(bytes: Buffer): string {
  return `size ${bytes.readBigUInt64BE(0)} flags ${bytes.readUInt16BE(8) & FLAGS}`;
}
