/** The kernel's side of a conversation: messages as <linux/fuse.h> lays them out, and replies taken apart. */
import type { FuseDirectory, FuseFile } from '@bootswarm/fuse-proto';

export interface Reply {
  readonly length: number;
  readonly error: number;
  readonly unique: bigint;
  readonly payload: Buffer;
}

export function message(opcode: number, nodeId: number, args: Uint8Array, unique = 7n): Buffer {
  const bytes = Buffer.alloc(40 + args.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(opcode, 4);
  bytes.writeBigUInt64LE(unique, 8);
  bytes.writeBigUInt64LE(BigInt(nodeId), 16);
  bytes.set(args, 40);
  return bytes;
}

export function replyOf(bytes: Uint8Array): Reply {
  const view = Buffer.from(bytes);
  return {
    length: view.readUInt32LE(0),
    error: view.readInt32LE(4),
    unique: view.readBigUInt64LE(8),
    payload: view.subarray(16),
  };
}

/** 32-bit words, each of which may also be two: [64n]. */
export function words(...values: (number | bigint)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      const bytes = Buffer.alloc(typeof value === 'bigint' ? 8 : 4);
      if (typeof value === 'bigint') bytes.writeBigUInt64LE(value);
      else bytes.writeUInt32LE(value);
      return bytes;
    }),
  );
}

export const name = (text: string): Buffer => Buffer.from(`${text}\0`);

export const initMessage = (minor: number, flags: number, major = 7): Buffer =>
  message(26, 0, words(major, minor, 131_072, flags, 0, ...Array<number>(11).fill(0)));

export const readMessage = (nodeId: number, handle: bigint, offset: bigint, length: number) =>
  message(15, nodeId, words(handle, offset, length, 0, 0n, 0, 0));

export interface Setattr {
  readonly valid: number;
  readonly mtime?: bigint;
  readonly size?: bigint;
}

export function setattrMessage(nodeId: number, { valid, mtime = 0n, size = 0n }: Setattr): Buffer {
  const rest = Array<number>(8).fill(0);
  return message(4, nodeId, words(valid, 0, 0n, size, 0n, 0n, mtime, 0n, ...rest));
}

export class TestFile implements FuseFile {
  readonly isDirectory = false;
  readonly nodeId: number;
  readonly name: string;
  readonly length: number;
  readonly allocatedBytes = 8192;
  mtime = 1_000;

  constructor(nodeId: number, fileName: string, length: number) {
    this.nodeId = nodeId;
    this.name = fileName;
    this.length = length;
  }

  /** The first half is data. */
  seek(offset: number, what: 'data' | 'hole'): number {
    const half = this.length / 2;
    if (what === 'data') return offset < half ? offset : this.length;
    return Math.max(offset, half);
  }
}

export class TestDirectory implements FuseDirectory<TestFile> {
  readonly mtime = 2_000;
  readonly files: TestFile[];

  constructor(...files: TestFile[]) {
    this.files = files;
  }

  get(nodeId: number): TestFile | undefined {
    return this.files.find((file) => file.nodeId === nodeId);
  }

  find(fileName: string): TestFile | undefined {
    return this.files.find((file) => file.name === fileName);
  }

  list(): readonly TestFile[] {
    return this.files;
  }
}
