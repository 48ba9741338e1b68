export {
  DATA_CHUNK_HEADER_LENGTH,
  READ_BYTES_IN_FLIGHT_MAX,
  READ_LENGTH_MAX,
  READS_IN_FLIGHT_MAX,
} from './constants.ts';
export type {
  CacheEffect,
  CloseEffect,
  NbdEffect,
  ReadEffect,
  ReadRequest,
  StartTlsEffect,
  WriteEffect,
} from './effect.ts';
export type { NbdExport, NbdExportDirectory } from './export.ts';
export type { TlsPolicy } from './handshake.ts';
export { NbdSession } from './session.ts';
