/**
 * The files of the demo guest's disk: `services` that a boot reads, and a `share` that it leaves alone, with contents
 * that are the same on every machine. Also the SHA-256 a guest must find when it reads all services in name order.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { Random } from '@bootswarm/stdx';

export interface GuestFile {
  /** Relative to the guest's root. */
  readonly path: string;
  readonly length: number;
}

/** A small distribution: about 36 MB that a boot reads, of 200 MB that are there. */
const SERVICES = 24;
const SHARE_FILES = 20;
const SHARE_FILE_BYTES = 8 * 1024 * 1024;
const KIB = 1024;

/** What one service reads when it starts: its program, its libraries, its settings; in KiB, from and to. */
const SERVICE_FILES = [
  { name: 'program', count: 1, from: 256, to: 768 },
  { name: 'library', count: 4, from: 64, to: 384 },
  { name: 'setting', count: 8, from: 1, to: 24 },
] as const;

export const SERVICES_DIR = 'srv';

/** In name order, which is the order the guest reads the services in. */
export function serviceFiles(): GuestFile[] {
  const random = new Random(20140401);
  const files: GuestFile[] = [];
  for (let service = 0; service < SERVICES; service += 1) {
    for (const { name, count, from, to } of SERVICE_FILES) {
      for (let index = 0; index < count; index += 1) {
        const path = `${SERVICES_DIR}/service-${pad(service)}/${name}-${pad(index)}`;
        files.push({ path, length: from * KIB + random.below((to - from) * KIB) });
      }
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

export function shareFiles(): GuestFile[] {
  return Array.from({ length: SHARE_FILES }, (_, index) => ({
    path: `usr/share/data-${pad(index)}`,
    length: SHARE_FILE_BYTES,
  }));
}

/** Bytes that no compressor shortens and no other file repeats: AES-CTR with the path as its key. */
export function contentOf(file: GuestFile): Buffer {
  const key = createHash('sha256').update(file.path).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(file.length));
}

/** Of the services' bytes one after the other, as lower-case hex. */
export function servicesSha256(): string {
  const hash = createHash('sha256');
  for (const file of serviceFiles()) hash.update(contentOf(file));
  return hash.digest('hex');
}

function pad(index: number): string {
  return String(index).padStart(2, '0');
}
