/** Images that nothing compresses and no zero piece shortens. */
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';

const MIB = 1024 * 1024;

export function writeRandomFile(path: string, lengthMib: number): void {
  const file = openSync(path, 'w');
  const buffer = Buffer.alloc(MIB);
  for (let at = 0; at < lengthMib; at += 1) writeSync(file, randomFillSync(buffer));
  closeSync(file);
}
