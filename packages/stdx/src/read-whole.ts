/** Reads of whole ranges of a file. A read gives what there is, which may be less than it was asked for. */

/** What a FileHandle of Node has of this. */
export interface ReadableFile {
  read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

/** Fills `target` from `position` on; false when the file ends before. */
export async function readWhole(
  file: ReadableFile,
  target: Uint8Array,
  position: number,
): Promise<boolean> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}
