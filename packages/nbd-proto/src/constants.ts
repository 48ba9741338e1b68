/**
 * The numbers of the NBD protocol (github.com/NetworkBlockDevice/nbd, doc/proto.md) under their names there, and the limits
 * this server adds. 64-bit magic numbers are given as two 32-bit halves: the wire is big-endian.
 */

export const NBD_MAGIC_HIGH = 0x4e42444d; // 'NBDM'
export const NBD_MAGIC_LOW = 0x41474943; // 'AGIC'
export const IHAVEOPT_HIGH = 0x49484156; // 'IHAV'
export const IHAVEOPT_LOW = 0x454f5054; // 'EOPT'
export const NBD_OPTION_REPLY_MAGIC_HIGH = 0x0003e889;
export const NBD_OPTION_REPLY_MAGIC_LOW = 0x045565a9;
export const NBD_REQUEST_MAGIC = 0x25609513;
export const NBD_SIMPLE_REPLY_MAGIC = 0x67446698;
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef;

/** Handshake flags; the client answers with the same bits. */
export const NBD_FLAG_FIXED_NEWSTYLE = 1 << 0;
export const NBD_FLAG_NO_ZEROES = 1 << 1;

export const NBD_FLAG_HAS_FLAGS = 1 << 0;
export const NBD_FLAG_READ_ONLY = 1 << 1;
export const NBD_FLAG_SEND_FLUSH = 1 << 2;
export const NBD_FLAG_SEND_DF = 1 << 7;
export const NBD_FLAG_CAN_MULTI_CONN = 1 << 8;
export const NBD_FLAG_SEND_CACHE = 1 << 10;

export const NBD_OPT_EXPORT_NAME = 1;
export const NBD_OPT_ABORT = 2;
export const NBD_OPT_LIST = 3;
export const NBD_OPT_STARTTLS = 5;
export const NBD_OPT_INFO = 6;
export const NBD_OPT_GO = 7;
export const NBD_OPT_STRUCTURED_REPLY = 8;
export const NBD_OPT_LIST_META_CONTEXT = 9;
export const NBD_OPT_SET_META_CONTEXT = 10;

export const NBD_REP_ACK = 1;
export const NBD_REP_SERVER = 2;
export const NBD_REP_INFO = 3;
export const NBD_REP_META_CONTEXT = 4;
export const NBD_REP_ERR_UNSUP = 0x80000001;
export const NBD_REP_ERR_POLICY = 0x80000002;
export const NBD_REP_ERR_INVALID = 0x80000003;
export const NBD_REP_ERR_TLS_REQD = 0x80000005;
export const NBD_REP_ERR_UNKNOWN = 0x80000006;
export const NBD_REP_ERR_TOO_BIG = 0x80000009;

export const NBD_INFO_EXPORT = 0;
export const NBD_INFO_NAME = 1;
export const NBD_INFO_DESCRIPTION = 2;
export const NBD_INFO_BLOCK_SIZE = 3;

export const NBD_CMD_READ = 0;
export const NBD_CMD_WRITE = 1;
export const NBD_CMD_DISC = 2;
export const NBD_CMD_FLUSH = 3;
export const NBD_CMD_TRIM = 4;
export const NBD_CMD_CACHE = 5;
export const NBD_CMD_WRITE_ZEROES = 6;
export const NBD_CMD_BLOCK_STATUS = 7;

export const NBD_CMD_FLAG_DF = 1 << 2;
export const NBD_CMD_FLAG_REQ_ONE = 1 << 3;

export const NBD_REPLY_FLAG_DONE = 1 << 0;
export const NBD_REPLY_TYPE_NONE = 0;
export const NBD_REPLY_TYPE_OFFSET_DATA = 1;
export const NBD_REPLY_TYPE_OFFSET_HOLE = 2;
export const NBD_REPLY_TYPE_BLOCK_STATUS = 5;
export const NBD_REPLY_TYPE_ERROR = 0x8001;

export const NBD_STATE_HOLE = 1 << 0;
export const NBD_STATE_ZERO = 1 << 1;

export const NBD_EPERM = 1;
export const NBD_EINVAL = 22;

export const BASE_ALLOCATION = 'base:allocation';
/** The id SET_META_CONTEXT gives to base:allocation, the only context there is. */
export const BASE_ALLOCATION_ID = 1;

/** Request header: magic 4, flags 2, type 2, cookie 8, offset 8, length 4. */
export const REQUEST_HEADER_LENGTH = 28;
/** Option header: IHAVEOPT 8, option 4, length 4. */
export const OPTION_HEADER_LENGTH = 16;
/** Simple reply: magic 4, error 4, cookie 8. */
export const SIMPLE_REPLY_LENGTH = 16;
/** Structured reply chunk header: magic 4, flags 2, type 2, cookie 8, payload length 4. */
export const REPLY_CHUNK_HEADER_LENGTH = 20;
/** An OFFSET_DATA header: the chunk header and the 64-bit offset before the data. */
export const DATA_CHUNK_HEADER_LENGTH = REPLY_CHUNK_HEADER_LENGTH + 8;

/** "MUST be no longer than 4096 bytes": proto.md, conventions, of every string. */
export const STRING_LENGTH_MAX = 4096;
/** The longest option data that is buffered: a GO with a 4096-byte name fits three times. Longer data is skipped unread. */
export const OPTION_LENGTH_MAX = 16 * 1024;
/** A client needs about six. The thousand-and-first is a flood. */
export const OPTIONS_MAX = 1000;
/** 32 MiB: what proto.md tells clients to assume of any server, QEMU's own limit, and what BLOCK_SIZE advertises. */
export const READ_LENGTH_MAX = 32 * 1024 * 1024;
/** QEMU keeps 16 requests in flight, nbdcopy 64 over 4 connections. */
export const READS_IN_FLIGHT_MAX = 64;
/** Two of the longest reads, or 64 of 1 MiB. */
export const READ_BYTES_IN_FLIGHT_MAX = 2 * READ_LENGTH_MAX;
/** 8 KiB of reply. A client asks again for the rest, as proto.md lets a server answer with less than asked. */
export const EXTENTS_MAX = 1024;
