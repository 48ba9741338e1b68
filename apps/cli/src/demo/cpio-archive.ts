/**
 * Encodes a cpio archive in the `newc` format, the one Linux unpacks as an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Every entry belongs to root. Reads no files.
 */
import { assert } from '@bootswarm/stdx';

export type CpioEntry =
  | { readonly type: 'directory'; readonly path: string }
  | {
      readonly type: 'file';
      readonly path: string;
      readonly isExecutable: boolean;
      readonly content: Uint8Array;
    };

/** Paths are relative, without `./`; a directory comes before what it holds. */
export function encodeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => {
    const content = entry.type === 'file' ? entry.content : new Uint8Array();
    return record(index + 1, modeOf(entry), entry.path, content);
  });
  return Buffer.concat([...parts, ...record(0, 0, 'TRAILER!!!', new Uint8Array())]);
}

/** S_IFDIR and S_IFREG with permissions. */
function modeOf(entry: CpioEntry): number {
  if (entry.type === 'directory') return 0o040755;
  return entry.isExecutable ? 0o100755 : 0o100644;
}

/** 'TRAILER!!!' and every path are ASCII, so characters are bytes. */
function record(inode: number, mode: number, path: string, content: Uint8Array): Uint8Array[] {
  assert(/^[\x21-\x7e]+$/.test(path), `cpio path ${path}`);
  const name = `${path}\0`;
  const links = 1;
  const [uid, gid, mtime, devMajor, devMinor, rdevMajor, rdevMinor, check] = Array(8).fill(0);
  const fields = [
    ...[inode, mode, uid, gid, links, mtime, content.length],
    ...[devMajor, devMinor, rdevMajor, rdevMinor, name.length, check],
  ];
  const header = `070701${fields.map(hex8).join('')}${name}`;
  return [Buffer.from(header), padding(header.length), content, padding(content.length)];
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** Header with name, and content, each end on a multiple of 4. */
function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
