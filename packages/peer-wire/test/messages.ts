/** Bytes of the wire, written without the code under test: what a stranger would send. */
import { BufferPool } from '@bootswarm/stdx';
import { makeFrameBuffers, type WireSwarm } from '../src/index.ts';

export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
}

export function toHex(...chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('hex');
}

export function u32(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, at * 4);
  return bytes;
}

export function frame(id: number, ...body: readonly Uint8Array[]): Uint8Array {
  const payload = Buffer.concat(body);
  return Buffer.concat([u32(payload.length + 1), Uint8Array.of(id), payload]);
}

export const KEEP_ALIVE = u32(0);

export function extended(id: number, payload: Uint8Array | string): Uint8Array {
  return frame(20, Uint8Array.of(id), Buffer.from(payload));
}

export interface HandshakeFields {
  readonly infoHash?: Uint8Array;
  readonly peerId?: Uint8Array;
  readonly reserved?: string;
}

const INFO_HASH = hex('0102030405060708090a0b0c0d0e0f1011121314');
export const STRANGER_ID = new Uint8Array(Buffer.from('-XX0001-abcdefghijkl'));

/** By default with BEP 6 and BEP 10 offered. */
export function handshake(fields: HandshakeFields = {}): Uint8Array {
  return Buffer.concat([
    Buffer.from('\x13BitTorrent protocol', 'latin1'),
    hex(fields.reserved ?? '00 00 00 00 00 10 00 04'),
    fields.infoHash ?? INFO_HASH,
    fields.peerId ?? STRANGER_ID,
  ]);
}

/** The m of an extended handshake of ours, with the ids that we take ourselves. */
export const OUR_IDS = 'd7:bs_havei1e7:bs_pingi4e7:bs_prioi2e8:bs_rediri3ee';
/** The extended handshake of one of ours. */
export const OURS_HELLO = extended(
  0,
  `d2:bsd1:n2:n11:oi0e1:r2:r11:vi1e1:z2:z1e1:m${OUR_IDS}4:reqqi512ee`,
);
export const ORIGIN_HELLO = extended(
  0,
  `d2:bsd1:n6:origin1:oi1e1:r0:1:vi1e1:z0:e1:m${OUR_IDS}4:reqqi512ee`,
);
export const FOREIGN_HELLO = extended(0, 'd1:v9:Other 1.04:reqqi64ee');

export const PIECE_LENGTH = 64 * 1024;

/** Ten pieces, the last of 1,000 bytes. */
export function makeSwarm(fields: Partial<WireSwarm> & { readonly node?: string } = {}): WireSwarm {
  const { node = 'test', ...rest } = fields;
  return {
    infoHash: INFO_HASH,
    peerId: new Uint8Array(Buffer.from(`-BS0100-${node.padEnd(12, '.')}`)),
    pieceCount: 10,
    pieceLength: PIECE_LENGTH,
    length: 9 * PIECE_LENGTH + 1_000,
    self: { kind: 'ours', node, zone: 'z1', rack: 'r1', isOrigin: false },
    pieceBuffers: new BufferPool(PIECE_LENGTH, 4),
    frameBuffers: makeFrameBuffers(PIECE_LENGTH),
    foreignPeersAllowed: true,
    hashes: () => undefined,
    ...rest,
  };
}

export const BLOCK = 16 * 1024;
/** A reject of the whole first piece. */
export const REJECT_0 = { type: 'reject', pieceIndex: 0, offset: 0, length: PIECE_LENGTH } as const;

/** A piece filled with its index and one. */
export function pieceFrame(pieceIndex: number, offset = 0, length = PIECE_LENGTH): Uint8Array {
  return frame(7, u32(pieceIndex, offset), new Uint8Array(length).fill(pieceIndex + 1));
}

export function pieceMessage(pieceIndex: number, offset = 0, length = PIECE_LENGTH) {
  const payload = new Uint8Array(length).fill(pieceIndex + 1);
  return { type: 'piece', pieceIndex, offset, length, payload } as const;
}

export function requestMessage(pieceIndex: number) {
  const range = { pieceIndex, offset: 0, length: PIECE_LENGTH };
  return { type: 'request', ...range, pieceClass: 'fill' } as const;
}

export function requestFrame(pieceIndex: number, offset = 0, length = PIECE_LENGTH): Uint8Array {
  return frame(6, u32(pieceIndex, offset, length));
}
