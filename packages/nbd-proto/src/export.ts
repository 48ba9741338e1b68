/** What the protocol needs to know of an export, and of the exports there are. Where the bytes come from is the runner's. */

export interface NbdExport {
  /** The canonical name, told to a client that asks for NBD_INFO_NAME. */
  readonly name: string;
  /** For people: NBD_INFO_DESCRIPTION. At most 4096 bytes. */
  readonly description: string;
  /** Bytes; need not be a multiple of anything. */
  readonly length: number;
  /** Reads of this length and alignment are the cheapest: a power of two from 512 to 32 MiB. */
  readonly preferredBlockLength: number;
  /** Whether the byte at `offset` lies in an extent known to read as zeroes. */
  isZeroAt(offset: number): boolean;
  /**
   * The end of the extent that holds `offset`, at most `limit`: the first later offset where isZeroAt() differs. May stop
   * short of that; always greater than `offset`. Asked for each read, and for ranges up to 4 GiB by BLOCK_STATUS.
   */
  extentEnd(offset: number, limit: number): number;
}

export interface NbdExportDirectory<E extends NbdExport> {
  /** The export of that name, '' being the default one. One answer for "none such" and for "not for you": undefined. */
  find(name: string): E | undefined;
  /** Names that NBD_OPT_LIST may show to anyone who can connect. */
  list(): readonly string[];
}
