/**
 * Errors that are not our own mistakes. ProtocolError: a peer, an NBD client or an agent broke the rules, and its
 * connection closes. OperatorError: something a person can mend, told as what failed, on what, and what to do next.
 */

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  /** kebab-case, stable: counted and shown, e.g. `message-too-long`. */
  readonly code: string;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: string, data: Readonly<Record<string, unknown>> = {}) {
    super(`${code} ${JSON.stringify(data)}`);
    this.code = code;
    this.data = data;
  }
}

export class OperatorError extends Error {
  override readonly name = 'OperatorError';
  /** kebab-case, stable: scripts match on it, e.g. `image-not-found`. */
  readonly code: string;
  /** What the reader should do next, as a sentence. */
  readonly hint: string;

  constructor(code: string, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/** The errno name (`ENOENT`, `ENOSPC`, …) of a Node system error, or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
