/**
 * The NBD server on its standard input and output, as `nbdkit -s` is: for fuzzers, and to compare with nbdkit. Serves a file,
 * read-only, as the only export, under every name; ends when the client does.
 *
 *   node test/interop/nbd-stdin.ts FILE < BYTES
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { type NbdExport, NbdSession } from '@bootswarm/nbd-proto';
import { assert } from '@bootswarm/stdx';

/** Holes are told by this. */
const BLOCK_LENGTH = 4096;
const SEGMENT_LENGTH = 64 * 1024;

/** What is said to a client that sends `input` and then closes its side, in segments of at most `segmentLength`. */
export function answerTo(input: Uint8Array, file: number, segmentLength = SEGMENT_LENGTH): Buffer {
  const server = new StdinServer(file);
  for (let at = 0; at < input.length && server.isOpen; at += segmentLength) {
    server.take(input.subarray(at, at + segmentLength));
  }
  server.end();
  return Buffer.concat(server.said);
}

class StdinServer {
  readonly said: Uint8Array[] = [];
  isOpen = true;
  readonly #session: NbdSession<NbdExport>;
  readonly #file: number;

  constructor(file: number) {
    const exported = fileExport(file);
    this.#session = new NbdSession({ find: () => exported, list: () => [''] });
    this.#file = file;
    this.#answer();
  }

  take(bytes: Uint8Array): void {
    assert(this.#session.wantsInput, 'every read is answered at once, so nothing is left over');
    this.#session.handle(bytes);
    this.#answer();
  }

  end(): void {
    this.#session.handleEnd();
    this.#answer();
    assert(!this.isOpen, 'a session outlives its client');
  }

  #answer(): void {
    for (let effect = this.#session.poll(); effect; effect = this.#session.poll()) {
      if (effect.type === 'close') {
        this.isOpen = false;
      } else if (effect.type === 'read') {
        const reply = Buffer.alloc(effect.replyHeaderLength + effect.length);
        readSync(this.#file, reply, effect.replyHeaderLength, effect.length, effect.offset);
        this.#session.encodeReadReply(effect, reply);
        this.said.push(reply);
      } else {
        this.said.push(effect.bytes);
      }
    }
  }
}

function fileExport(file: number): NbdExport {
  const { size: length } = fstatSync(file);
  const block = Buffer.alloc(BLOCK_LENGTH);
  const isZeroAt = (offset: number) => {
    block.fill(0);
    readSync(file, block, 0, BLOCK_LENGTH, offset - (offset % BLOCK_LENGTH));
    return block.every((byte) => byte === 0);
  };
  return {
    ...{ name: '', description: 'a file', length, preferredBlockLength: BLOCK_LENGTH },
    isZeroAt,
    extentEnd: (offset, limit) => Math.min(limit, offset - (offset % BLOCK_LENGTH) + BLOCK_LENGTH),
  };
}

function main([path]: readonly string[]): void {
  if (path === undefined) throw new Error('usage: node test/interop/nbd-stdin.ts FILE < BYTES');
  const file = openSync(path, 'r');
  const server = new StdinServer(file);
  const bytes = Buffer.alloc(SEGMENT_LENGTH);
  for (;;) {
    for (const said of server.said.splice(0)) writeAll(said);
    if (!server.isOpen) break;
    const count = readSync(0, bytes, 0, bytes.length, null);
    if (count === 0) server.end();
    else server.take(bytes.subarray(0, count));
  }
  closeSync(file);
}

function writeAll(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

if (import.meta.main) main(process.argv.slice(2));
