/** Byte counts as people write and read them: '10G' and '512MiB' in, '1.5 GiB' out. */
import { OperatorError } from '@bootswarm/stdx';

const LETTERS = ['', 'K', 'M', 'G', 'T', 'P'];

/**
 * Whole bytes. K, M, G, T, P and KiB, MiB, … count in 1024s, as qemu-img has it; kB, MB, … in 1000s. Throws
 * OperatorError when `text` is no size, is not a whole number of bytes, or is beyond 2^53 - 1.
 */
export function parseByteSize(text: string): number {
  const match = /^(\d{1,16}(?:\.\d{1,6})?) ?(?:([KMGTP])?(B|iB)?)$/i.exec(text.trim());
  const bytes = match === null ? Number.NaN : Number(match[1]) * unitBytes(match[2], match[3]);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new OperatorError(
    'bad-size',
    `'${text}' is not a size in whole bytes`,
    'write a size as 20G, 512MiB or 1073741824',
  );
}

/** Three digits are enough to compare: '0 B', '999 B', '1.5 GiB', '93.5 MiB', '512 KiB'. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), LETTERS.length - 1);
  const count = bytes / 1024 ** power;
  const digits = power === 0 || count >= 100 || Number.isInteger(count) ? 0 : 1;
  return `${count.toFixed(digits)} ${power === 0 ? 'B' : `${LETTERS[power]}iB`}`;
}

function unitBytes(letter: string | undefined, suffix: string | undefined): number {
  if (letter === undefined) return suffix?.toLowerCase() === 'ib' ? Number.NaN : 1;
  const power = LETTERS.indexOf(letter.toUpperCase());
  return suffix?.toLowerCase() === 'b' ? 1000 ** power : 1024 ** power;
}
