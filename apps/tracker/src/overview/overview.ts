/** Puts an Overview together from what the catalogue, the registry and the nodes' reports say. Decides what is left out. */
import type { Alarm, BootOrderStats, NodeStats, SwarmStats } from '@bootswarm/tracker-proto';
import type { ImageSummary } from '../api.ts';
import { bootOrderSummary } from '../boot-order-summary.ts';
import {
  type ImageOverview,
  NODES_MAX,
  type NodeOverview,
  type Overview,
  type StormSample,
  type ZoneOverview,
} from '../overview-api.ts';
import { textOf } from '../swarm-summary.ts';
import type { NodeReports, ReportedNode } from './node-reports.ts';
import { type Bytes, noBytes } from './storm-history.ts';

export interface OverviewFacts {
  readonly nowMs: number;
  readonly tracker: Overview['tracker'];
  readonly samples: readonly StormSample[];
  readonly storm: Overview['storm'];
  readonly images: readonly ImageSummary[];
  readonly swarms: readonly SwarmStats[];
  readonly nodes: readonly NodeStats[];
  readonly reports: NodeReports;
  readonly alarms: readonly Alarm[];
  /** Of those that are read from the origin, which may be told. */
  isListed(image: string): boolean;
  bootOrderOf(image: string): readonly BootOrderStats[];
}

/** Reports come every 2 s while anything happens: after so long without, nothing does. */
const FRESH_MS = 5_000;

export function overviewOf(facts: OverviewFacts): Overview {
  const { nowMs, tracker, samples, storm, reports, alarms } = facts;
  const nodes = facts.nodes.map((each) => nodeOverview(each, facts));
  const busiest = nodes.length <= NODES_MAX ? nodes : nodes.toSorted(byBusyness);
  const originReads = reports.originReads.filter(({ image }) => facts.isListed(image));
  const names = new Map(facts.images.map(({ id, name }) => [id, name]));
  return {
    at: new Date(nowMs).toISOString(),
    tracker,
    now: samples[samples.length - 1],
    samples,
    storm,
    images: imageOverviews(facts),
    zones: zoneOverviews(nodes),
    nodes: busiest.slice(0, NODES_MAX),
    nodesLeftOut: Math.max(0, nodes.length - NODES_MAX),
    originReads: originReads.map(({ atMs, node, image, reason, pieces }) => ({
      at: new Date(atMs).toISOString(),
      node,
      image,
      imageName: names.get(image) ?? image,
      reason,
      pieces,
    })),
    originReasons: Object.fromEntries(reports.originReasons),
    alarms,
  };
}

function byBusyness(a: NodeOverview, b: NodeOverview): number {
  return rankOf(b) - rankOf(a) || b.bytesPerSecond - a.bytesPerSecond;
}

function rankOf({ state }: NodeOverview): number {
  return ['idle', 'fetching', 'booting', 'alarm'].indexOf(state);
}

function nodeOverview(
  { identity, images }: NodeStats,
  { reports, nowMs }: OverviewFacts,
): NodeOverview {
  const { node, zone, rack, address } = identity;
  const reported = reports.get(node);
  const last = reported?.last;
  return {
    node,
    zone,
    rack,
    address: textOf(address),
    state: stateOf(reported, nowMs),
    images: images.length,
    vmsBooting: last?.vmsBooting ?? 0,
    vmsConnected: last?.vmsConnected ?? 0,
    read: { ...(reported?.read ?? noBytes()) },
    received: { ...(reported?.received ?? noBytes()) },
    bytesPerSecond: reported && isFresh(reported, nowMs) ? rateOf(reported) : 0,
    cacheBytes: last?.cacheBytes ?? 0,
    cacheBytesMax: last?.cacheBytesMax ?? 0,
  };
}

function stateOf(reported: ReportedNode | undefined, nowMs: number): NodeOverview['state'] {
  if (reported === undefined) return 'idle';
  const { last } = reported;
  if (last.alarms.length > 0) return 'alarm';
  if (last.vmsBooting > 0) return 'booting';
  return isFresh(reported, nowMs) && rateOf(reported) > 0 ? 'fetching' : 'idle';
}

function isFresh({ at }: ReportedNode, nowMs: number): boolean {
  return nowMs - at <= FRESH_MS;
}

function rateOf({ last: { receivedPeers, receivedOrigin, intervalMs } }: ReportedNode): number {
  const bytes = receivedPeers + receivedOrigin;
  return intervalMs === 0 ? 0 : Math.round((bytes * 1_000) / intervalMs);
}

function zoneOverviews(nodes: readonly NodeOverview[]): ZoneOverview[] {
  const zones = new Map<string, { nodes: number; vmsBooting: number; received: Bytes }>();
  for (const { zone, vmsBooting, received } of nodes) {
    const sum = zones.get(zone) ?? { nodes: 0, vmsBooting: 0, received: noBytes() };
    zones.set(zone, sum);
    sum.nodes += 1;
    sum.vmsBooting += vmsBooting;
    sum.received.peers += received.peers;
    sum.received.origin += received.origin;
  }
  return Array.from(zones, ([zone, sum]) => ({ zone, ...sum })).sort((a, b) =>
    a.zone < b.zone ? -1 : 1,
  );
}

function imageOverviews({ images, swarms, bootOrderOf }: OverviewFacts): ImageOverview[] {
  const byImage = new Map(swarms.map((each) => [each.image, each]));
  return images.map((image) => {
    const { id, name, length, pieceCount, pieceLength, zeroPieces, state } = image;
    const members = byImage.get(id)?.members ?? [];
    const dataPieces = pieceCount - zeroPieces;
    const dataBytes = Math.min(length, dataPieces * pieceLength);
    const spread: number[] = new Array(11).fill(0);
    let [fromPeers, fromOrigin] = [0, 0];
    for (const { progress } of members) {
      const had = Math.max(0, progress.piecesHad - zeroPieces);
      spread[dataPieces === 0 ? 10 : Math.floor((Math.min(had, dataPieces) * 10) / dataPieces)] +=
        1;
      fromPeers += progress.bytesFromPeers;
      fromOrigin += progress.bytesFromOrigin;
    }
    return {
      ...{ id, name, title: titleOf(image), length, pieceCount, dataBytes, state },
      members: members.length,
      complete: spread[10],
      spread,
      bootOrder: bootOrderSummary(image, bootOrderOf(id)).kinds,
      receivedFromPeers: fromPeers,
      receivedFromOrigin: fromOrigin,
      originCopies: dataBytes === 0 ? 0 : fromOrigin / dataBytes,
    };
  });
}

/** An image of Glance has the id of Glance as its name, by which nobody knows it; names of Glance are not unique. */
function titleOf({ name, glance }: ImageSummary): string {
  return glance === undefined || glance.name === '' ? name : `${glance.name} (${name.slice(0, 8)})`;
}
