/**
 * Names of nodes, zones and racks as peers say them. They are shown, logged and used as labels: UTF-8 without control or format
 * characters, as in signalling.
 */
import { isUtf8 } from 'node:buffer';

const NAME_BYTES_MAX = 128;
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\uFFFD]/u;
/** A byte order mark is a format character like others, not to be dropped in silence. */
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true });

/** Undefined when the bytes are no name: more than 128, not UTF-8, or not printable. May be empty. */
export function decodeName(bytes: Uint8Array): string | undefined {
  if (bytes.length > NAME_BYTES_MAX || !isUtf8(bytes)) return undefined;
  const name = DECODER.decode(bytes);
  return UNPRINTABLE.test(name) ? undefined : name;
}
