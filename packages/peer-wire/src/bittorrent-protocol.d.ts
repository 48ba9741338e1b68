/** The part of bittorrent-protocol 5.0.9 that framed-wire.ts and wire-session.ts use; the package ships no types. */
declare module 'bittorrent-protocol' {
  interface WireEvents {
    choke: [];
    unchoke: [];
    interested: [];
    uninterested: [];
    bitfield: [bitfield: { readonly buffer: Uint8Array }];
    have: [pieceIndex: number];
    'have-all': [];
    'have-none': [];
    cancel: [pieceIndex: number, offset: number, length: number];
    reject: [pieceIndex: number, offset: number, length: number];
  }

  export default class Wire {
    readonly amChoking: boolean;
    readonly peerChoking: boolean;
    readonly hasFast: boolean;
    /** Ours that are not answered. */
    readonly requests: unknown[];
    extendedHandshake: Record<string, unknown>;
    extendedMapping: Record<number, string>;

    on<Name extends keyof WireEvents>(
      name: Name,
      listener: (...values: WireEvents[Name]) => void,
    ): this;

    handshake(infoHash: Uint8Array, peerId: Uint8Array, extensions: { fast: boolean }): void;
    keepAlive(): void;
    choke(): void;
    unchoke(): void;
    interested(): void;
    uninterested(): void;
    have(pieceIndex: number): void;
    bitfield(bytes: Uint8Array): void;
    haveAll(): void;
    haveNone(): void;
    request(pieceIndex: number, offset: number, length: number): void;
    cancel(pieceIndex: number, offset: number, length: number): void;
    reject(pieceIndex: number, offset: number, length: number): void;
    extended(extensionId: number, payload: Uint8Array): void;

    /** streamx: what the wire wants sent. */
    push(chunk: Uint8Array | null): boolean;
    /** streamx: what the far end sent. */
    _write(chunk: Uint8Array, written: (error: Error | null) => void): void;
    _debug(...values: unknown[]): void;
  }
}
