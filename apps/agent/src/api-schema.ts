/** What api.ts has as types, as schemas: bodies are checked with them, the OpenAPI document is made of them. */
import type { ImageFill } from '@bootswarm/copy';
import { ALARM_CODES, type Alarm } from '@bootswarm/tracker-proto';
import { z } from 'zod';
import type {
  AgentStatus,
  CacheStatus,
  CopyRequest,
  CopyStatus,
  ExportInfo,
  FuseStatus,
  ImageStatus,
  LayerStatus,
  NbdStatus,
  NovaStatus,
  ReadBytes,
  ScrubStatus,
  Supervision,
  TouchedPieces,
  UpgradeInfo,
  VmInfo,
  VmStatus,
} from './api.ts';

const count = z.int().min(0);
const amount = z.number().min(0);
const text = z.string();
const given = z.string().min(1);
const counts = z.record(z.string(), count);

export const ATTACH = z.strictObject({ image: given });
export const VM_CREATION = z.strictObject({
  image: given,
  name: given,
  sizeBytes: z.int().positive().optional().describe('default: as long as the image'),
  qmp: given.optional().describe('path of the QMP socket that QEMU is to make'),
});
export const REBASE = z.strictObject({ to: z.enum(['local', 'swarm']) });
export const REMOVE_QUERY = z.strictObject({ force: z.enum(['0', '1']).optional() });

export const READ_BYTES = z.strictObject({
  cache: count,
  peers: count,
  origin: count,
  zero: count,
}) satisfies z.ZodType<ReadBytes>;

const CACHE = z.strictObject({
  bytesUsed: count,
  bytesMax: count.nullable(),
  isFull: z.boolean(),
  scrubBytesPerSecond: count,
}) satisfies z.ZodType<CacheStatus>;

const NBD = z.strictObject({
  address: text.optional(),
  tcpError: text.optional(),
  connections: count,
  replyBytes: count,
  replyBytesMax: count,
}) satisfies z.ZodType<NbdStatus>;

const SCRUB = z.strictObject({
  passes: count,
  piecesChecked: count,
  pieceCount: count,
  piecesDamaged: count,
  isDirect: z.boolean(),
}) satisfies z.ZodType<ScrubStatus>;

const LAYER = z.strictObject({
  from: z.enum(['metainfo', 'cache', 'swarm', 'tracker']),
  fallback: z.enum(['no-members', 'no-progress']).optional(),
  bytesFromPeers: count,
  bytesFromOrigin: count,
  bytesSent: count,
  originRequests: counts,
}) satisfies z.ZodType<LayerStatus>;

const IMAGE = z.strictObject({
  ...{ id: text, name: text, length: count, pieceLength: count, pieceCount: count },
  ...{ zeroPieces: count, piecesHad: count, piecesTouched: count, bytesTouched: count },
  ...{ peers: count, bytesFromPeers: count, bytesFromOrigin: count, bytesSent: count },
  ...{ bytesWasted: count, hedges: count, originRequests: counts, layer: LAYER },
  ...{ bytesPerSecondIn: amount, bytesPerSecondOut: amount, read: READ_BYTES },
  ...{ isAttached: z.boolean(), scrub: SCRUB, readsWaiting: count, oldestReadWaitMs: amount },
  ...{ diskBytes: count, lastUsedAt: text.nullable() },
}) satisfies z.ZodType<ImageStatus>;

const backing = z.enum(['swarm', 'local', 'none']);

export const VM_STATUS = z.strictObject({
  ...{ name: text, image: text, imageName: text, overlay: text, createdAt: text, backing },
  ...{ isMoving: z.boolean(), connections: count, read: READ_BYTES },
}) satisfies z.ZodType<VmStatus>;

export const VMS = z.strictObject({ vms: z.array(VM_STATUS) });

const SUPERVISION = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('nobody') }),
  z.strictObject({ by: z.literal('systemd') }),
  z.strictObject({
    by: z.literal('socket-holder'),
    ...{ holderPid: count, successorPid: count.nullable() },
  }),
]) satisfies z.ZodType<Supervision>;

const ALARM = z.strictObject({
  code: z.enum(ALARM_CODES),
  ...{ node: text, subject: text, reason: text, hint: text, since: z.iso.datetime() },
}) satisfies z.ZodType<Alarm>;

export const ALARMS = z.strictObject({ alarms: z.array(ALARM) });

const NOVA = z.strictObject({
  links: z.array(
    z.strictObject({
      ...{ image: text, glanceId: text, path: text },
      state: z.enum(['swarm', 'file', 'foreign', 'none']),
    }),
  ),
  refusal: text.nullable(),
}) satisfies z.ZodType<NovaStatus>;

const FUSE = z.strictObject({
  ...{ directory: text, isMounted: z.boolean(), openFiles: count, readsWaiting: count },
  ...{ replyBytes: count, nova: NOVA.optional() },
}) satisfies z.ZodType<FuseStatus>;

export const STATUS_ANSWER = z.strictObject({
  ...{ version: text, node: text, zone: text, rack: text, pid: count, uptimeSeconds: count },
  tracker: z.strictObject({ url: text, isConnected: z.boolean() }),
  ...{ peerAddress: text, cacheDir: text, cache: CACHE, nbdSocket: text, nbd: NBD },
  fuse: FUSE.optional(),
  ...{ rssBytes: count, images: z.array(IMAGE), vms: z.array(VM_STATUS) },
  glanceProxy: z
    .strictObject({ address: text, filesServed: count, filesPassed: count, bytesServed: count })
    .optional(),
  supervision: SUPERVISION,
  alarms: z.array(ALARM),
}) satisfies z.ZodType<AgentStatus>;

export const EXPORT = z.strictObject({
  ...{ image: text, imageName: text, length: count, socket: text, export: text, uri: text },
}) satisfies z.ZodType<ExportInfo>;

export const VM = z.strictObject({
  ...{ name: text, image: text, imageName: text, overlay: text, socket: text, export: text },
  ...{ sizeBytes: count, backing, qmp: text.optional() },
  ...{ qemuCommand: z.array(text), libvirtDiskXml: text },
}) satisfies z.ZodType<VmInfo>;

export const TOUCHED = z.strictObject({
  ...{ image: text, pieceCount: count, pieceLength: count, length: count },
  bitfield: z.base64().describe('in wire order'),
}) satisfies z.ZodType<TouchedPieces>;

export const UPGRADE = z.strictObject({
  ...{ pid: count, version: text },
}) satisfies z.ZodType<UpgradeInfo>;

export const FILL = z.strictObject({
  image: text,
  info: text.describe('base64 of the info dictionary'),
  path: text.describe('of the cache file, whose held pieces may be read'),
  held: text.describe('base64 of a bitfield of pieces'),
}) satisfies z.ZodType<ImageFill>;

export const COPY_REQUEST = z.strictObject({
  from: given.describe('URI'),
  to: given.describe('URI'),
  sha256: z.hex().length(64).optional(),
  force: z.boolean().optional().describe('replace a file that is there'),
}) satisfies z.ZodType<CopyRequest>;

export const COPY = z.strictObject({
  ...{ id: text, from: text, to: text },
  phase: z.enum(['open', 'prove', 'copy', 'verify', 'finish', 'done', 'failed', 'cancelled']),
  ...{ bytesDone: count, bytesTotal: count, bytesPerSecond: amount },
  error: z.strictObject({ code: text, message: text, hint: text }).optional(),
}) satisfies z.ZodType<CopyStatus>;

export const COPIES = z.strictObject({ copies: z.array(COPY) });
