/** Cuts what a QMP socket sends into lines of bounded length, however it arrives. Knows nothing of what is in them. */
import { ProtocolError } from '@bootswarm/stdx';

/** The longest answer lists the block nodes of a VM: some 2 KB each, of which no VM has a thousand. */
export const QMP_LINE_BYTES_MAX = 4 * 1024 * 1024;

const NEWLINE = 0x0a;

export class QmpLines {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** Takes the chunk over: do not change it. Throws ProtocolError `qmp-line-too-long`; nothing more may be fed then. */
  *feed(chunk: Uint8Array): Generator<string> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const part = chunk.subarray(start, end < 0 ? chunk.length : end);
      if (this.#length + part.length > QMP_LINE_BYTES_MAX) {
        throw new ProtocolError('qmp-line-too-long', { lengthMax: QMP_LINE_BYTES_MAX });
      }
      if (part.length > 0) this.#parts.push(part);
      this.#length += part.length;
      if (end < 0) return;
      // Decoded as a whole: a character may have come in two chunks. QEMU ends its lines with CR LF.
      const line = Buffer.concat(this.#parts, this.#length).toString('utf8').trim();
      this.#parts = [];
      this.#length = 0;
      start = end + 1;
      if (line !== '') yield line;
    }
  }
}
