/**
 * The handshake phase: fixed newstyle negotiation, from the client's flags to the export it has chosen (proto.md,
 * "Handshake"). Decides the answer to each option; how the answers look on the wire is option-reply.ts.
 */
import { ProtocolError } from '@bootswarm/stdx';
import * as nbd from './constants.ts';
import type { NbdExport, NbdExportDirectory } from './export.ts';
import type { InfoPayload } from './option-payload.ts';
import { MalformedOption, parseExportName, parseInfo, parseMetaContext } from './option-payload.ts';
import * as reply from './option-reply.ts';
import type { SegmentReader } from './segment-reader.ts';
import { readUint32 } from './wire-integer.ts';

/** What the transmission phase goes on with. */
export interface Agreement<E extends NbdExport> {
  readonly export: E;
  readonly isStructured: boolean;
  /** Whether base:allocation was selected for this very export. */
  readonly hasBlockStatus: boolean;
}

/** Whether clients must ask for TLS before anything else. Where they need not they cannot. */
export type TlsPolicy = 'refused' | 'required';

export type HandshakeStep<E extends NbdExport> =
  | { readonly type: 'replied'; readonly bytes: Uint8Array }
  | { readonly type: 'agreed'; readonly bytes: Uint8Array; readonly agreement: Agreement<E> }
  /** TLS begins after `bytes`; all that was negotiated before is forgotten, but for the client's flags. */
  | { readonly type: 'start-tls'; readonly bytes: Uint8Array }
  | { readonly type: 'aborted'; readonly bytes: Uint8Array }
  | { readonly type: 'broken'; readonly error: ProtocolError };

type HandshakeState =
  | { readonly type: 'client-flags' }
  | { readonly type: 'option-header' }
  | { readonly type: 'option-data'; readonly option: number; readonly length: number }
  /** Data nobody will parse runs past; then `bytes` is the reply. */
  | { readonly type: 'option-skip'; left: number; readonly bytes: Uint8Array };

const OPTION_HEADER: HandshakeState = { type: 'option-header' };

export class Handshake<E extends NbdExport> {
  readonly #directory: NbdExportDirectory<E>;
  #state: HandshakeState = { type: 'client-flags' };
  #hasZeroes = true;
  #isStructured = false;
  /** The export name of the last SET_META_CONTEXT that selected base:allocation. */
  #metaContextName: string | undefined;
  #optionsSeen = 0;
  #tls: TlsPolicy | 'on';

  constructor(directory: NbdExportDirectory<E>, tls: TlsPolicy) {
    this.#directory = directory;
    this.#tls = tls;
  }

  /** Goes one step with the bytes there are; undefined when it needs more of them. */
  step(reader: SegmentReader): HandshakeStep<E> | undefined {
    try {
      for (;;) {
        const step = this.#advance(reader);
        if (step !== 'continue') return step;
      }
    } catch (error) {
      if (error instanceof ProtocolError) return { type: 'broken', error };
      throw error;
    }
  }

  #advance(reader: SegmentReader): HandshakeStep<E> | 'continue' | undefined {
    const state = this.#state;
    switch (state.type) {
      case 'client-flags':
        if (!reader.take(4)) return undefined;
        this.#clientFlags(readUint32(reader.bytes, reader.at));
        return 'continue';
      case 'option-header':
        if (!reader.take(nbd.OPTION_HEADER_LENGTH)) return undefined;
        this.#optionHeader(reader.bytes, reader.at);
        return 'continue';
      case 'option-data': {
        if (!reader.take(state.length)) return undefined;
        this.#state = OPTION_HEADER;
        const data = reader.bytes.subarray(reader.at, reader.at + state.length);
        return this.#answer(state.option, data);
      }
      case 'option-skip':
        state.left -= reader.skip(state.left);
        if (state.left > 0) return undefined;
        this.#state = OPTION_HEADER;
        return { type: 'replied', bytes: state.bytes };
    }
  }

  /** client-flags → option-header */
  #clientFlags(flags: number): void {
    // "the server MUST drop the TCP connection if the client sets an unknown flag": proto.md, client flags.
    const unknown = flags & ~(nbd.NBD_FLAG_FIXED_NEWSTYLE | nbd.NBD_FLAG_NO_ZEROES);
    if (unknown !== 0) throw new ProtocolError('unknown-client-flags', { flags });
    this.#hasZeroes = (flags & nbd.NBD_FLAG_NO_ZEROES) === 0;
    this.#state = OPTION_HEADER;
  }

  /** option-header → option-data, or option-skip when the data is too long or the option unknown */
  #optionHeader(bytes: Uint8Array, at: number): void {
    if (
      readUint32(bytes, at) !== nbd.IHAVEOPT_HIGH ||
      readUint32(bytes, at + 4) !== nbd.IHAVEOPT_LOW
    ) {
      throw new ProtocolError('bad-option-magic');
    }
    this.#optionsSeen++;
    if (this.#optionsSeen > nbd.OPTIONS_MAX) throw new ProtocolError('too-many-options');
    const option = readUint32(bytes, at + 8);
    const length = readUint32(bytes, at + 12);
    const refusal = this.#refusal(option, length);
    this.#state =
      refusal === undefined
        ? { type: 'option-data', option, length }
        : { type: 'option-skip', left: length, bytes: refusal };
  }

  /** The error reply to an option that can be judged by its header. */
  #refusal(option: number, length: number): Uint8Array | undefined {
    if (this.#tls === 'required' && !OPTIONS_BEFORE_TLS.has(option)) {
      if (option === nbd.NBD_OPT_EXPORT_NAME) throw new ProtocolError('tls-required');
      const message = 'TLS is required: STARTTLS first';
      return reply.encodeOptionError(option, nbd.NBD_REP_ERR_TLS_REQD, message);
    }
    if (!isKnownOption(option)) {
      return reply.encodeOptionError(option, nbd.NBD_REP_ERR_UNSUP, 'option not supported');
    }
    if (option === nbd.NBD_OPT_STARTTLS && this.#tls === 'refused') {
      return reply.encodeOptionError(option, nbd.NBD_REP_ERR_POLICY, 'this socket has no TLS');
    }
    if (length <= nbd.OPTION_LENGTH_MAX) return undefined;
    if (option === nbd.NBD_OPT_EXPORT_NAME) throw new ProtocolError('export-name-too-long');
    return reply.encodeOptionError(option, nbd.NBD_REP_ERR_TOO_BIG, 'option data too long');
  }

  #answer(option: number, data: Uint8Array): HandshakeStep<E> {
    try {
      switch (option) {
        case nbd.NBD_OPT_EXPORT_NAME:
          return this.#exportName(data);
        case nbd.NBD_OPT_ABORT:
          return { type: 'aborted', bytes: reply.encodeAck(option) };
        case nbd.NBD_OPT_STARTTLS:
          return this.#startTls(data);
        case nbd.NBD_OPT_LIST:
          return this.#list(data);
        case nbd.NBD_OPT_INFO:
        case nbd.NBD_OPT_GO:
          return this.#info(option, parseInfo(data));
        case nbd.NBD_OPT_STRUCTURED_REPLY:
          expectNoData(data);
          this.#isStructured = true;
          return { type: 'replied', bytes: reply.encodeAck(option) };
        default:
          return this.#metaContext(option, data);
      }
    } catch (error) {
      if (!(error instanceof MalformedOption)) throw error;
      // EXPORT_NAME has no error reply; all it can do is end the session.
      if (option === nbd.NBD_OPT_EXPORT_NAME) throw new ProtocolError('bad-export-name');
      return failed(option, nbd.NBD_REP_ERR_INVALID, error.message);
    }
  }

  /**
   * What came in the clear may have been put there by anyone, and would be taken for what the client has negotiated under TLS
   * (CVE-2021-3716).
   */
  #startTls(data: Uint8Array): HandshakeStep<E> {
    if (this.#tls === 'on') throw new MalformedOption('TLS is on already');
    expectNoData(data);
    this.#tls = 'on';
    this.#isStructured = false;
    this.#metaContextName = undefined;
    return { type: 'start-tls', bytes: reply.encodeAck(nbd.NBD_OPT_STARTTLS) };
  }

  #exportName(data: Uint8Array): HandshakeStep<E> {
    const name = parseExportName(data);
    const exported = this.#directory.find(name);
    if (exported === undefined) throw new ProtocolError('export-not-found', { name });
    const bytes = reply.encodeExportNameReply(exported, this.#isStructured, this.#hasZeroes);
    return { type: 'agreed', bytes, agreement: this.#agreement(name, exported) };
  }

  #list(data: Uint8Array): HandshakeStep<E> {
    expectNoData(data);
    const servers = this.#directory.list().map(reply.encodeServer);
    return { type: 'replied', bytes: concat([...servers, reply.encodeAck(nbd.NBD_OPT_LIST)]) };
  }

  #info(option: number, { name, infoTypes }: InfoPayload): HandshakeStep<E> {
    const exported = this.#directory.find(name);
    if (exported === undefined) return failed(option, nbd.NBD_REP_ERR_UNKNOWN, NO_SUCH_EXPORT);
    const replies = [reply.encodeInfoExport(option, exported, this.#isStructured)];
    if (infoTypes.has(nbd.NBD_INFO_NAME)) {
      replies.push(reply.encodeInfoText(option, nbd.NBD_INFO_NAME, exported.name));
    }
    if (infoTypes.has(nbd.NBD_INFO_DESCRIPTION)) {
      replies.push(reply.encodeInfoText(option, nbd.NBD_INFO_DESCRIPTION, exported.description));
    }
    if (infoTypes.has(nbd.NBD_INFO_BLOCK_SIZE)) {
      replies.push(reply.encodeInfoBlockSize(option, exported));
    }
    replies.push(reply.encodeAck(option));
    const bytes = concat(replies);
    if (option === nbd.NBD_OPT_INFO) return { type: 'replied', bytes };
    return { type: 'agreed', bytes, agreement: this.#agreement(name, exported) };
  }

  /** NBD_OPT_LIST_META_CONTEXT or NBD_OPT_SET_META_CONTEXT; base:allocation is the only context there is. */
  #metaContext(option: number, data: Uint8Array): HandshakeStep<E> {
    const isSet = option === nbd.NBD_OPT_SET_META_CONTEXT;
    // A SET replaces what was set before, also when it fails.
    if (isSet) this.#metaContextName = undefined;
    if (!this.#isStructured) throw new MalformedOption('structured replies come first');
    const { name, queries } = parseMetaContext(data);
    if (this.#directory.find(name) === undefined) {
      return failed(option, nbd.NBD_REP_ERR_UNKNOWN, NO_SUCH_EXPORT);
    }
    // LIST with no query asks for everything, and may ask for a namespace; SET names what it wants in full.
    const isChosen =
      queries.includes(nbd.BASE_ALLOCATION) ||
      (!isSet && (queries.length === 0 || queries.includes('base:')));
    const ack = reply.encodeAck(option);
    if (!isChosen) return { type: 'replied', bytes: ack };
    if (isSet) this.#metaContextName = name;
    const id = isSet ? nbd.BASE_ALLOCATION_ID : 0;
    const context = reply.encodeMetaContext(option, id, nbd.BASE_ALLOCATION);
    return { type: 'replied', bytes: concat([context, ack]) };
  }

  #agreement(name: string, exported: E): Agreement<E> {
    return {
      export: exported,
      isStructured: this.#isStructured,
      hasBlockStatus: this.#metaContextName === name,
    };
  }
}

const NO_SUCH_EXPORT = 'export not found';

const KNOWN_OPTIONS: ReadonlySet<number> = new Set([
  nbd.NBD_OPT_EXPORT_NAME,
  nbd.NBD_OPT_ABORT,
  nbd.NBD_OPT_LIST,
  nbd.NBD_OPT_STARTTLS,
  nbd.NBD_OPT_INFO,
  nbd.NBD_OPT_GO,
  nbd.NBD_OPT_STRUCTURED_REPLY,
  nbd.NBD_OPT_LIST_META_CONTEXT,
  nbd.NBD_OPT_SET_META_CONTEXT,
]);

/** "The server MUST NOT send any data" of an export before TLS; it may be left, and asked for TLS. */
const OPTIONS_BEFORE_TLS: ReadonlySet<number> = new Set([nbd.NBD_OPT_STARTTLS, nbd.NBD_OPT_ABORT]);

function isKnownOption(option: number): boolean {
  return KNOWN_OPTIONS.has(option);
}

function expectNoData(data: Uint8Array): void {
  if (data.length !== 0) throw new MalformedOption('data where none belongs');
}

function failed(
  option: number,
  replyType: number,
  message: string,
): { readonly type: 'replied'; readonly bytes: Uint8Array } {
  return { type: 'replied', bytes: reply.encodeOptionError(option, replyType, message) };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    bytes.set(part, position);
    position += part.length;
  }
  return bytes;
}
