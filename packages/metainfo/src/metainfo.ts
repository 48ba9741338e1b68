/** What a swarm carries: one file under BEP 52. Types only; see info-dict.ts for bytes, merkle-tree.ts for hashes. */

export interface Metainfo {
  readonly name: string;
  /** Bytes of the image, > 0. */
  readonly length: number;
  /** Power of two, 16 KiB to 16 MiB. */
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** 32-byte merkle root over 16 KiB blocks. */
  readonly piecesRoot: Uint8Array;
  /** The canonical bencoded info dictionary: its SHA-256 is infoHash. */
  readonly infoBytes: Uint8Array;
  /** 32 bytes. */
  readonly infoHash: Uint8Array;
  /** First 20 bytes of infoHash as 40 hex digits: the image id. */
  readonly imageId: string;
}

/** The hashes of all pieces, checked against the pieces root when it was built. */
export interface PieceLayer {
  readonly pieceCount: number;
  /** pieceCount × 32 bytes. */
  readonly bytes: Uint8Array;
  /** Whether the piece at this index holds only zeros. */
  isZero(pieceIndex: number): boolean;
  readonly zeroCount: number;
  /** Whether `piece` (exactly the piece's length: the last one may be short) has the piece's hash. */
  verify(pieceIndex: number, piece: Uint8Array): boolean;
  /** Whether `root`, 32 bytes, is the piece's hash: for who has hashed it elsewhere. */
  isRoot(pieceIndex: number, root: Uint8Array): boolean;
  /**
   * The merkle node `index` of the level `level` above the pieces (0: the pieces' own hashes), 32 bytes not to be
   * changed; beyond the end of the image, padding. Cheap on every level: see piece-layer.ts.
   */
  node(level: number, index: number): Uint8Array;
}
