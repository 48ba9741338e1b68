/** Bytes that guests read, by where they were when the read arrived. */
export interface ReadBytes {
  cache: number;
  peers: number;
  origin: number;
  /** Known to be zero from the piece layer: read from nowhere. */
  zero: number;
}

export function noReadBytes(): ReadBytes {
  return { cache: 0, peers: 0, origin: 0, zero: 0 };
}
