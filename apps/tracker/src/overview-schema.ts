/** overview-api.ts as schemas, for the OpenAPI document and for the test that compares answers with it. */
import { ALARM_CODES, type Alarm } from '@bootswarm/tracker-proto';
import { z } from 'zod';
import { BOOT_KIND, imageId, time } from './api-schema.ts';
import type {
  BytesBySource,
  ImageOverview,
  NodeOverview,
  OriginRead,
  Overview,
  Storm,
  StormSample,
  ZoneOverview,
} from './overview-api.ts';

const count = z.int().min(0);
const text = z.string();

const BYTES = z.strictObject({
  ...{ cache: count, peers: count, origin: count },
}) satisfies z.ZodType<BytesBySource>;

export const ALARM = z.strictObject({
  code: z.enum(ALARM_CODES),
  node: text.describe('or tracker'),
  ...{ subject: text, reason: text, hint: text, since: time },
}) satisfies z.ZodType<Alarm>;

export const ALARMS = z.strictObject({ alarms: z.array(ALARM) });

const SAMPLE = z.strictObject({
  at: count.describe('seconds since 1970'),
  ...{ vmsBooting: count, read: BYTES, received: BYTES },
}) satisfies z.ZodType<StormSample>;

const STORM = z.strictObject({
  ...{ startedAt: time, endedAt: time.nullable(), vmsBootingMax: count },
  ...{ read: BYTES, received: BYTES, originShare: z.number().min(0).max(1) },
}) satisfies z.ZodType<Storm>;

const IMAGE = z.strictObject({
  ...{ id: imageId, name: text, title: text, length: count, pieceCount: count, dataBytes: count },
  state: z.enum(['ready', 'damaged']),
  ...{ members: count, complete: count },
  spread: z.array(count).length(11).describe('members by tenth of the image; the last: all of it'),
  bootOrder: z.array(BOOT_KIND),
  ...{ receivedFromPeers: count, receivedFromOrigin: count, originCopies: z.number().min(0) },
}) satisfies z.ZodType<ImageOverview>;

const ZONE = z.strictObject({
  ...{ zone: text, nodes: count, vmsBooting: count, received: BYTES },
}) satisfies z.ZodType<ZoneOverview>;

const NODE = z.strictObject({
  ...{ node: text, zone: text, rack: text, address: text },
  state: z.enum(['idle', 'fetching', 'booting', 'alarm']),
  ...{ images: count, vmsBooting: count, vmsConnected: count, read: BYTES, received: BYTES },
  ...{ bytesPerSecond: count, cacheBytes: count, cacheBytesMax: count },
}) satisfies z.ZodType<NodeOverview>;

const ORIGIN_READ = z.strictObject({
  ...{ at: time, node: text, image: imageId, imageName: text, reason: text, pieces: count },
}) satisfies z.ZodType<OriginRead>;

export const OVERVIEW = z.strictObject({
  at: time,
  tracker: z.strictObject({
    ...{ version: text, uptimeSeconds: count, agents: count, hasOrigin: z.boolean() },
  }),
  ...{ now: SAMPLE, samples: z.array(SAMPLE), storm: STORM.nullable() },
  ...{ images: z.array(IMAGE), zones: z.array(ZONE), nodes: z.array(NODE), nodesLeftOut: count },
  originReads: z.array(ORIGIN_READ),
  originReasons: z.record(z.string(), count),
  alarms: z.array(ALARM),
}) satisfies z.ZodType<Overview>;
