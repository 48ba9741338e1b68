/** The answers of api.ts as schemas, for the OpenAPI document; the compiler compares them with the types. */
import { z } from 'zod';
import type {
  BootKindSummary,
  BootOrderSummary,
  GlanceFollowStatus,
  GlanceImageStatus,
  GlanceSource,
  ImageSummary,
  NodeImageSummary,
  NodeSummary,
  PrefetchNodeSummary,
  PrefetchRequest,
  PrefetchSummary,
  PublishEvent,
  PublishRequest,
  SwarmMemberSummary,
  SwarmSummary,
  TrackerHealth,
} from './api.ts';

const count = z.int().min(0);
export const time = z.iso.datetime().describe('RFC 3339');
export const imageId = z.string().regex(/^[0-9a-f]{40}$/);
const prejoin = z.enum(['all', 'none']);
const format = z.enum(['raw', 'qcow2']);

export const HEALTH = z.strictObject({
  status: z.literal('ok'),
  version: z.string(),
  uptimeSeconds: z.number(),
  dataDir: z.string().describe('absolute path; the admin token is there'),
  publisherKey: z.string().describe('Ed25519, 64 hex digits; agents pin it'),
  origin: z
    .strictObject({ host: z.string(), port: count })
    .optional()
    .describe('where the origin accepts peers; missing while it starts'),
  agents: count,
  images: count,
}) satisfies z.ZodType<TrackerHealth>;

const glanceId = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);

const GLANCE_SOURCE = z.strictObject({
  id: glanceId,
  name: z.string().describe('what people call it; not unique, and possibly empty'),
  visibility: z
    .enum(['public', 'community', 'shared', 'private'])
    .describe('private and shared images are shown to those only whom Glance shows them'),
  owner: z.string().describe('the project; empty where Glance tells none'),
  diskFormat: z.string(),
  size: count.describe('bytes that Glance stores'),
  osHashAlgo: z.string(),
  osHashValue: z.string(),
  isFollowed: z.boolean().describe('published because the tracker follows Glance'),
}) satisfies z.ZodType<GlanceSource>;

export const IMAGE = z.strictObject({
  id: imageId,
  name: z.string(),
  length: count.describe('bytes of the flat raw disk'),
  pieceLength: count,
  pieceCount: count,
  zeroPieces: count.describe('all zero: they never move'),
  createdAt: time,
  source: z.string(),
  sourceFormat: format,
  prejoin,
  state: z.enum(['ready', 'damaged']),
  glance: GLANCE_SOURCE.optional().describe('the image in Glance that it was published from'),
}) satisfies z.ZodType<ImageSummary>;

export const IMAGES = z.strictObject({ images: z.array(IMAGE) });

export const PUBLISH_REQUEST = z.strictObject({
  source: z
    .string()
    .min(1)
    .max(4_096)
    .describe(
      'absolute path on the tracker’s host, or a URI of http(s), glance, rbd, iscsi, nbd or nbd+unix',
    ),
  name: z.string().optional(),
  format: format.optional().describe('default: by inspection'),
  inPlace: z.boolean().optional().describe('serve a raw file where it lies'),
  prejoin: prejoin.optional(),
}) satisfies z.ZodType<PublishRequest>;

export const PUBLISH_EVENT = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('progress'),
    stage: z.enum(['fetch', 'flatten', 'hash']),
    bytesDone: count,
    bytesTotal: count,
  }),
  z.strictObject({
    type: z.literal('published'),
    image: IMAGE,
    alreadyThere: z.boolean(),
    seconds: z.number(),
  }),
  z.strictObject({
    type: z.literal('failed'),
    code: z.string(),
    message: z.string(),
    hint: z.string(),
  }),
]) satisfies z.ZodType<PublishEvent>;

export const BOOT_KIND = z.strictObject({
  boots: count.describe('that were merged'),
  pieces: count,
  bytes: count,
  lastLearnedAt: time,
}) satisfies z.ZodType<BootKindSummary>;

export const BOOT_ORDER = z.strictObject({
  image: imageId,
  kinds: z.array(BOOT_KIND),
}) satisfies z.ZodType<BootOrderSummary>;

const MEMBER = z.strictObject({
  node: z.string(),
  zone: z.string(),
  rack: z.string(),
  place: count,
  address: z.string(),
  piecesHad: count,
  bytesFromPeers: count,
  bytesFromOrigin: count,
  bytesSent: count,
}) satisfies z.ZodType<SwarmMemberSummary>;

export const SWARMS = z.strictObject({
  swarms: z.array(
    z.strictObject({
      image: imageId,
      name: z.string(),
      epoch: count,
      members: z.array(MEMBER),
      origin: z.strictObject({
        bytesSent: count,
        piecesSent: count,
        peers: count,
        layerBytesSent: count,
      }),
    }) satisfies z.ZodType<SwarmSummary>,
  ),
});

export const NODES = z.strictObject({
  nodes: z.array(
    z.strictObject({
      node: z.string(),
      zone: z.string(),
      rack: z.string(),
      address: z.string(),
      connectedSince: time,
      images: z.array(imageId),
    }) satisfies z.ZodType<NodeSummary>,
  ),
});

export const PREFETCH_REQUEST = z.strictObject({
  image: z.string().min(1).describe('id, unambiguous beginning of it, or name'),
  nodes: z.array(z.string()).min(1).optional().describe('these nodes, and no other scope'),
  zone: z.string().optional(),
  percent: z.int().min(1).max(100).optional().describe('of the nodes of each zone'),
  minCopies: z.int().min(1).optional().describe('on so many nodes at least'),
  bootOrderOnly: z.boolean().optional(),
  priority: z.int().min(0).max(9).optional().describe('default: 5'),
  pin: z.boolean().optional().describe('keep it in the caches while the order lasts'),
  deadlineSeconds: z.int().min(1).optional(),
  ttlSeconds: z.int().min(1).optional(),
}) satisfies z.ZodType<PrefetchRequest>;

const PREFETCH_NODE = z.strictObject({
  node: z.string(),
  state: z.enum(['waiting', 'fetching', 'done', 'failed']),
  piecesHad: count,
  piecesWanted: count.describe('0 until the node knows'),
  code: z.string().describe('why it failed'),
}) satisfies z.ZodType<PrefetchNodeSummary>;

export const PREFETCH = z.strictObject({
  id: z.string(),
  image: imageId,
  imageName: z.string().describe('empty when the image is withdrawn'),
  state: z.enum(['active', 'done', 'expired', 'cancelled', 'withdrawn']),
  isLate: z.boolean(),
  nodesGiven: z.array(z.string()).optional(),
  zone: z.string().optional(),
  percent: count.optional(),
  minCopies: count.optional(),
  bootOrderOnly: z.boolean(),
  priority: count,
  pin: z.boolean(),
  createdAt: time,
  deadlineAt: time.optional(),
  expiresAt: time.optional(),
  nodes: z.array(PREFETCH_NODE),
}) satisfies z.ZodType<PrefetchSummary>;

export const PREFETCHES = z.strictObject({ prefetches: z.array(PREFETCH) });

const NODE_IMAGE = z.strictObject({
  image: imageId,
  name: z.string(),
  pieceCount: count,
  piecesHad: count,
  cachedFraction: z.number().min(0).max(1).describe('of the pieces that are not zero'),
  bootOrderFraction: z.number().min(0).max(1).nullable(),
}) satisfies z.ZodType<NodeImageSummary>;

export const NODE_IMAGES = z.strictObject({ node: z.string(), images: z.array(NODE_IMAGE) });

const GLANCE_IMAGE = z.strictObject({
  id: glanceId.describe('in Glance'),
  name: z.string(),
  state: z
    .enum(['waiting', 'importing', 'published', 'failed', 'unusable'])
    .describe('unusable: no image that VMs can boot from as it is'),
  failures: count,
  image: imageId.optional().describe('of the catalogue'),
  error: z.string().optional(),
}) satisfies z.ZodType<GlanceImageStatus>;

export const GLANCE = z.strictObject({
  selection: z.enum(['marked', 'active', 'none', 'listed']),
  state: z.enum(['starting', 'following', 'failing']),
  failures: count.describe('looks in a row that failed'),
  lookedAt: time.optional(),
  error: z.strictObject({ code: z.string(), message: z.string(), hint: z.string() }).optional(),
  images: z.array(GLANCE_IMAGE).describe('imported by this process, or still to be'),
}) satisfies z.ZodType<GlanceFollowStatus>;
