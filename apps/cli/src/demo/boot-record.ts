/**
 * Lays out the sectors before the first partition of a BIOS disk: boot code and partition table in sector 0, GRUB's
 * core image from sector 1. One partition, LBA only. Decides nothing about what the partition holds.
 */
import { assert } from '@bootswarm/stdx';

export const SECTOR_BYTES = 512;
/** 1 MiB: where partitioning tools start the first partition; core.img fits in the gap. */
export const PARTITION_FIRST_SECTOR = 2048;

/** Bytes of sector 0 that are code; then disk signature, four table entries, and the 55 aa mark. */
const BOOT_CODE_BYTES = 440;
const TABLE_OFFSET = 446;
const LINUX_PARTITION = 0x83;
/** Cylinder, head and sector beyond what CHS can say: the reader must use the LBA fields. */
const CHS_UNUSED = [0xfe, 0xff, 0xff];

/**
 * The first bytes of the disk. `bootCode` is GRUB's boot.img, which loads core.img from sector 1 unless it is told
 * otherwise; `diskBytes` is the length of the whole disk.
 */
export function encodeBootRecord(
  bootCode: Uint8Array,
  coreImage: Uint8Array,
  diskBytes: number,
): Buffer {
  const gapBytes = (PARTITION_FIRST_SECTOR - 1) * SECTOR_BYTES;
  assert(coreImage.length <= gapBytes, `core.img of ${coreImage.length} bytes`);
  const sectors = diskBytes / SECTOR_BYTES - PARTITION_FIRST_SECTOR;
  assert(Number.isInteger(sectors) && sectors > 0, `disk of ${diskBytes} bytes`);
  const record = Buffer.alloc(SECTOR_BYTES + coreImage.length);
  record.set(bootCode.subarray(0, BOOT_CODE_BYTES), 0);
  record.set([0x80, ...CHS_UNUSED, LINUX_PARTITION, ...CHS_UNUSED], TABLE_OFFSET);
  record.writeUInt32LE(PARTITION_FIRST_SECTOR, TABLE_OFFSET + 8);
  record.writeUInt32LE(sectors, TABLE_OFFSET + 12);
  record.set([0x55, 0xaa], SECTOR_BYTES - 2);
  record.set(coreImage, SECTOR_BYTES);
  return record;
}
