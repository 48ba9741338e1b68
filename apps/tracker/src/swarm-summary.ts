/** What the registry and the origin know of swarms and nodes, in the words of the HTTP API. */
import type { NodeStats, PeerAddress, SwarmStats } from '@bootswarm/tracker-proto';
import type { NodeSummary, SwarmSummary } from './api.ts';
import type { Catalogue } from './catalogue.ts';
import type { OriginStats } from './origin-protocol.ts';

const NOTHING_SENT = { bytesSent: 0, piecesSent: 0, peers: 0, layerBytesSent: 0 };

/** `origin`: undefined while it does not answer. */
export function swarmSummaries(
  swarms: readonly SwarmStats[],
  catalogue: Catalogue,
  origin: OriginStats | undefined,
): SwarmSummary[] {
  return swarms
    .filter(({ image }) => catalogue.has(image))
    .map(({ image, epoch, members }) => ({
      image,
      name: catalogue.find(image).image.name,
      epoch,
      members: members.map(({ member: { node, zone, rack, address, place }, progress }) => ({
        node,
        zone,
        rack,
        place,
        address: textOf(address),
        ...progress,
      })),
      origin: origin?.images[image] ?? NOTHING_SENT,
    }));
}

export function nodeSummaries(nodes: readonly NodeStats[]): NodeSummary[] {
  return nodes.map(({ identity: { node, zone, rack, address }, connectedAtMs, images }) => ({
    node,
    zone,
    rack,
    address: textOf(address),
    connectedSince: new Date(performance.timeOrigin + connectedAtMs).toISOString(),
    images,
  }));
}

export function textOf({ host, port }: PeerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
