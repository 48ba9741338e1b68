export { MESSAGE_LENGTH_MAX, OUT_HEADER_LENGTH, READ_LENGTH_MAX } from './constants.ts';
export type { FuseDirectory, FuseFile } from './directory.ts';
export { encodeResend } from './reply.ts';
export { type Unique, uniqueKey } from './request.ts';
export { type FuseEffect, type FuseRead, FuseSession } from './session.ts';
