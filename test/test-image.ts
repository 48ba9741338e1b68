/** Makes disk images for tests: seeded bytes with holes, so that every run is the same and zero pieces exist. */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { Random } from '@bootswarm/stdx';

const MIB = 1024 * 1024;

/** Data in every MiB whose index is not 3 mod 4; the others are holes. `length` in bytes. */
export function makeTestImage(path: string, length: number, seed = 1): void {
  const random = new Random(seed);
  const file = openSync(path, 'w');
  const words = new Uint32Array(MIB / 4);
  for (let at = 0, index = 0; at < length; at += MIB, index += 1) {
    if (index % 4 === 3) continue;
    for (let word = 0; word < words.length; word += 1) words[word] = random.uint32();
    writeSync(file, Buffer.from(words.buffer, 0, Math.min(MIB, length - at)), 0, undefined, at);
  }
  ftruncateSync(file, length);
  closeSync(file);
}
