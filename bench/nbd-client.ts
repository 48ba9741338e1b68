/** What a client of an NBD server writes (fixed newstyle, simple replies), for benches that time it themselves. */

const CLIENT_FLAGS = 3;
const OPTION_EXPORT_NAME = 1;
const REQUEST_MAGIC = 0x25609513;

/** Client flags and the option that opens an export. */
export function optionOf(exportName: string): Buffer {
  const name = Buffer.from(exportName);
  const header = Buffer.alloc(20);
  header.writeUInt32BE(CLIENT_FLAGS, 0);
  header.write('IHAVEOPT', 4, 'latin1');
  header.writeUInt32BE(OPTION_EXPORT_NAME, 12);
  header.writeUInt32BE(name.length, 16);
  return Buffer.concat([header, name]);
}

/** A read. */
export function requestOf(offset: number, length: number): Buffer {
  const request = Buffer.alloc(28);
  request.writeUInt32BE(REQUEST_MAGIC, 0);
  request.writeBigUInt64BE(BigInt(offset), 16);
  request.writeUInt32BE(length, 24);
  return request;
}
