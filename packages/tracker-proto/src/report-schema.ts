/** Reads the report of a `stats` message, as strictly as message-schema.ts reads the others. */
import { ALARM_CODES, type AlarmCode } from './alarms.ts';
import { type Fields, invalid, isPrintable, uintOf } from './message-fields.ts';
import type { NodeAlarm, NodeReport, OriginReads } from './messages.ts';

/** By image and reason: eight reasons of eight images; the rest is told with the next report. */
export const ORIGIN_READS_MAX = 64;
/** Alarms of one node at once: a few codes, of a few images. */
export const ALARMS_MAX = 16;
const INTERVAL_MS_MAX = 3_600_000;
const TEXT_BYTES_MAX = 512;
const CLIENTS_MAX = 100_000;

export function readReport(fields: Fields): NodeReport {
  const bytes = (name: string) => fields.uint(name, 0, Number.MAX_SAFE_INTEGER);
  return {
    intervalMs: fields.uint('intervalMs', 0, INTERVAL_MS_MAX),
    vmsBooting: fields.uint('vmsBooting', 0, CLIENTS_MAX),
    vmsConnected: fields.uint('vmsConnected', 0, CLIENTS_MAX),
    readCache: bytes('readCache'),
    readPeers: bytes('readPeers'),
    readOrigin: bytes('readOrigin'),
    receivedPeers: bytes('receivedPeers'),
    receivedOrigin: bytes('receivedOrigin'),
    cacheBytes: bytes('cacheBytes'),
    cacheBytesMax: bytes('cacheBytesMax'),
    originReads: fields.list('originReads', ORIGIN_READS_MAX).map(originReadsOf),
    alarms: fields.list('alarms', ALARMS_MAX).map(alarmOf),
  };
}

/** As it travels: rows without keys. */
export function packReport({ originReads, alarms, ...rest }: NodeReport): object {
  return {
    ...rest,
    originReads: originReads.map(({ image, reason, pieces }) => [image, reason, pieces]),
    alarms: alarms.map((each) => [each.code, each.subject, each.reason, each.hint, each.since]),
  };
}

/** `text`, or as much of it as a message takes. */
export function reportText(text: string): string {
  const printable = text.replace(/[\p{C}\p{Zl}\p{Zp}\uFFFD]/gu, '?');
  const isShort = Buffer.byteLength(printable) <= TEXT_BYTES_MAX;
  return isShort ? printable : `${printable.slice(0, TEXT_BYTES_MAX / 4)}…`;
}

function originReadsOf(row: unknown): OriginReads {
  if (!Array.isArray(row) || row.length !== 3) throw invalid('originReads');
  const [image, reason, pieces] = row;
  if (typeof image !== 'string' || !/^[0-9a-f]{40}$/.test(image)) throw invalid('originReads');
  if (typeof reason !== 'string' || !/^[a-z-]{1,32}$/.test(reason)) throw invalid('originReads');
  return { image, reason, pieces: uintOf(pieces, 'originReads', 0, 0xffff_ffff) };
}

function alarmOf(row: unknown): NodeAlarm {
  if (!Array.isArray(row) || row.length !== 5) throw invalid('alarms');
  const [code, subject, reason, hint, since] = row;
  if (!ALARM_CODES.includes(code)) throw invalid('alarms');
  if (![subject, reason, hint].every(isText)) throw invalid('alarms');
  if (typeof since !== 'string' || !TIME.test(since)) throw invalid('alarms');
  return { code: code as AlarmCode, subject, reason, hint, since };
}

/** As Date.toISOString() writes it. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

function isText(value: unknown): value is string {
  return typeof value === 'string' && isPrintable(value, 0, TEXT_BYTES_MAX);
}
