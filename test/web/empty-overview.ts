/** The overview of a tracker that was just started: no image, no node, no storm. */
import type { BytesBySource, Overview } from '@bootswarm/tracker';

const NONE: BytesBySource = { cache: 0, peers: 0, origin: 0 };

export function emptyOverview(nowMs: number): Overview {
  const now = Math.floor(nowMs / 1_000);
  const samples = Array.from({ length: 300 }, (_, index) => {
    return { at: now - 299 + index, vmsBooting: 0, read: NONE, received: NONE };
  });
  return {
    at: new Date(nowMs).toISOString(),
    tracker: { version: '0.1.0', uptimeSeconds: 40, agents: 0, hasOrigin: true },
    ...{ now: samples[299], samples, storm: null, images: [], zones: [], nodes: [] },
    ...{ nodesLeftOut: 0, originReads: [], originReasons: {}, alarms: [] },
  };
}
