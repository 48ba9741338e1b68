/** Builds qcow2 headers byte by byte, valid ones by default, so that each test shows the one field it makes wrong. */

export interface HeaderFields {
  version: number;
  backingFileOffset: bigint;
  backingFileSize: number;
  clusterBits: number;
  virtualSize: bigint;
  cryptMethod: number;
  l1Size: number;
  l1TableOffset: bigint;
  refcountTableOffset: bigint;
  refcountTableClusters: number;
  snapshotCount: number;
  snapshotsOffset: bigint;
  incompatibleFeatures: bigint;
  refcountOrder: number;
  headerLength: number;
  compressionType: number;
  extensions: readonly { readonly type: number; readonly body: Uint8Array }[];
}

/** As `qemu-img create -f qcow2 FILE 64M` lays a file out. */
export const VALID_FILE_LENGTH = 4 * 65_536;

export function qcow2Head(fields: Partial<HeaderFields> = {}): Buffer {
  const all: HeaderFields = { ...VALID, ...fields };
  const head = Buffer.alloc(65_536);
  head.write('QFI\xfb', 0, 'latin1');
  head.writeUInt32BE(all.version, 4);
  head.writeBigUInt64BE(all.backingFileOffset, 8);
  head.writeUInt32BE(all.backingFileSize, 16);
  head.writeUInt32BE(all.clusterBits, 20);
  head.writeBigUInt64BE(all.virtualSize, 24);
  head.writeUInt32BE(all.cryptMethod, 32);
  head.writeUInt32BE(all.l1Size, 36);
  head.writeBigUInt64BE(all.l1TableOffset, 40);
  head.writeBigUInt64BE(all.refcountTableOffset, 48);
  head.writeUInt32BE(all.refcountTableClusters, 56);
  head.writeUInt32BE(all.snapshotCount, 60);
  head.writeBigUInt64BE(all.snapshotsOffset, 64);
  let offset = 72;
  if (all.version >= 3) {
    head.writeBigUInt64BE(all.incompatibleFeatures, 72);
    head.writeUInt32BE(all.refcountOrder, 96);
    head.writeUInt32BE(all.headerLength, 100);
    head.writeUInt8(all.compressionType, 104);
    offset = Math.min(all.headerLength, 32_768);
  }
  for (const { type, body } of all.extensions) {
    head.writeUInt32BE(type, offset);
    head.writeUInt32BE(body.length, offset + 4);
    head.set(body, offset + 8);
    offset += 8 + Math.ceil(body.length / 8) * 8;
  }
  return head;
}

const VALID: HeaderFields = {
  version: 3,
  backingFileOffset: 0n,
  backingFileSize: 0,
  clusterBits: 16,
  virtualSize: 64n * 1024n * 1024n,
  cryptMethod: 0,
  l1Size: 1,
  l1TableOffset: 0x3_0000n,
  refcountTableOffset: 0x1_0000n,
  refcountTableClusters: 1,
  snapshotCount: 0,
  snapshotsOffset: 0n,
  incompatibleFeatures: 0n,
  refcountOrder: 4,
  headerLength: 112,
  compressionType: 0,
  extensions: [],
};
