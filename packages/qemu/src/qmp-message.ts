/** The messages of QMP (QEMU docs/interop/qmp-spec.txt): one JSON object on a line, checked before anybody looks into it. */
import { ProtocolError } from '@bootswarm/stdx';

export interface QmpCommand {
  readonly execute: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** `id`: of the command that is answered; QEMU cannot tell it of a command that it could not read. */
export type QmpMessage =
  | { readonly type: 'greeting' }
  | { readonly type: 'return'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number | undefined; readonly description: string }
  | ({ readonly type: 'event' } & QmpEvent);

/** Long enough for every sentence of QEMU; what is quoted to a person has an end. */
const DESCRIPTION_LENGTH_MAX = 1_000;

/** Throws ProtocolError `qmp-garbage`. */
export function parseQmpMessage(line: string): QmpMessage {
  const message = parseObject(line);
  if (isObject(message.QMP)) return { type: 'greeting' };
  if (typeof message.event === 'string') {
    const data = message.data ?? {};
    if (!isObject(data)) throw garbage(line);
    return { type: 'event', name: message.event, data };
  }
  if ('return' in message) {
    if (!isId(message.id)) throw garbage(line);
    return { type: 'return', id: message.id, value: message.return };
  }
  if (isObject(message.error) && typeof message.error.desc === 'string') {
    if (message.id !== undefined && !isId(message.id)) throw garbage(line);
    const description = message.error.desc.slice(0, DESCRIPTION_LENGTH_MAX);
    return { type: 'error', id: message.id, description };
  }
  throw garbage(line);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  throw garbage(line);
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function garbage(line: string): ProtocolError {
  return new ProtocolError('qmp-garbage', { line: line.slice(0, 80) });
}
