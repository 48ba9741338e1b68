/** Asks agents and tracker where the bytes of a boot storm came from. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentStatus, ReadBytes, TouchedPieces } from '@bootswarm/agent';
import type { SwarmSummary } from '@bootswarm/tracker';
import { bytesNeeded } from './bytes-needed.ts';
import type { Cloud } from './cloud.ts';

export interface StormTraffic {
  /** By VM name. */
  readonly readByVm: ReadonlyMap<string, ReadBytes>;
  readonly received: ReceivedBytes;
  readonly bytesNeeded: number;
  readonly originBytesSent: number;
}

/** Payload that nodes took over the network, verified, by who sent it. */
export interface ReceivedBytes {
  readonly peers: number;
  readonly origin: number;
}

export const NOTHING_READ: ReadBytes = { cache: 0, peers: 0, origin: 0, zero: 0 };

/** Daemons report to one another every second or so; a count that stands still that long is final. */
const SETTLE_INTERVAL_MS = 500;
const SETTLE_ROUNDS_MAX = 10;

/** What every VM has read so far. */
export async function readByVm(cloud: Cloud): Promise<Map<string, ReadBytes>> {
  return readOf(await statuses(cloud));
}

/** After the last guest: waits until the origin's count stands still. */
export async function settledTraffic(cloud: Cloud, image: string): Promise<StormTraffic> {
  let originBytesSent = await originBytes(cloud, image);
  for (let round = 0; round < SETTLE_ROUNDS_MAX; round += 1) {
    await delay(SETTLE_INTERVAL_MS);
    const before = originBytesSent;
    originBytesSent = await originBytes(cloud, image);
    if (before > 0 && before === originBytesSent) break;
  }
  const touched = await Promise.all(
    cloud.nodes.map(({ agent }) => agent.get<TouchedPieces>(`/v1/images/${image}/touched`)),
  );
  const last = await statuses(cloud);
  return {
    ...{ readByVm: readOf(last), received: receivedOf(last, image) },
    ...{ bytesNeeded: bytesNeeded(touched), originBytesSent },
  };
}

function statuses(cloud: Cloud): Promise<AgentStatus[]> {
  return Promise.all(cloud.nodes.map(({ agent }) => agent.get<AgentStatus>('/v1/status')));
}

function readOf(statuses: readonly AgentStatus[]): Map<string, ReadBytes> {
  return new Map(statuses.flatMap(({ vms }) => vms.map(({ name, read }) => [name, read])));
}

function receivedOf(statuses: readonly AgentStatus[], image: string): ReceivedBytes {
  const images = statuses.flatMap((status) => status.images).filter(({ id }) => id === image);
  return {
    peers: images.reduce((sum, { bytesFromPeers }) => sum + bytesFromPeers, 0),
    origin: images.reduce((sum, { bytesFromOrigin }) => sum + bytesFromOrigin, 0),
  };
}

async function originBytes(cloud: Cloud, image: string): Promise<number> {
  const { swarms } = await cloud.tracker.get<{ swarms: SwarmSummary[] }>('/v1/swarms');
  return swarms.find((swarm) => swarm.image === image)?.origin.bytesSent ?? 0;
}

export function addRead(a: ReadBytes, b: ReadBytes): ReadBytes {
  return {
    cache: a.cache + b.cache,
    peers: a.peers + b.peers,
    origin: a.origin + b.origin,
    zero: a.zero + b.zero,
  };
}
