/**
 * What the tracker and the origin process say to each other over DATA/origin.sock: a JSON object per line, every request
 * answered once under its id. The origin outlives the tracker, so the tracker may find one that it did not start.
 */

/** Longest line either side accepts: statistics of some 10,000 images. */
export const ORIGIN_LINE_BYTES_MAX = 1024 * 1024;

export interface OriginMethods {
  hello: { params: Record<string, never>; result: OriginHello };
  /** Serve DATA/images/<image> as image-directory.ts reads it. Opening twice changes nothing. */
  open: { params: { readonly image: string }; result: Record<string, never> };
  /** Stop serving; the directory goes away. */
  withdraw: { params: { readonly image: string }; result: Record<string, never> };
  /** The most it sends over all images; null: as much as it can. */
  limit: { params: { readonly bytesPerSecond: number | null }; result: Record<string, never> };
  stats: { params: Record<string, never>; result: OriginStats };
  /** Exit once this has been answered. */
  stop: { params: Record<string, never>; result: Record<string, never> };
}

export type OriginMethod = keyof OriginMethods;

export interface OriginHello {
  /** VERSION of the origin's code: a tracker of another version replaces it. */
  readonly version: string;
  readonly pid: number;
  /** Where it accepts peers. */
  readonly host: string;
  readonly port: number;
}

export interface OriginImageStats {
  readonly bytesSent: number;
  readonly piecesSent: number;
  readonly peers: number;
  /** In the swarm of its piece layer; 0 when the layer is in the metainfo. */
  readonly layerBytesSent: number;
}

export interface OriginStats {
  readonly images: Readonly<Record<string, OriginImageStats>>;
}

export type OriginRequest = {
  [Method in OriginMethod]: {
    readonly id: number;
    readonly method: Method;
    readonly params: OriginMethods[Method]['params'];
  };
}[OriginMethod];

export type OriginResponse =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } };
