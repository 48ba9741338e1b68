/** How far a prefetch order has come, and which nodes it means, in words. Pure. */
import type { Prefetch, PrefetchNode } from './prefetch-api.ts';
import { countOf } from './units.ts';

export interface PrefetchProgress extends Readonly<Record<PrefetchNode['state'], number>> {
  /** 0 to 1: of what its nodes are to have; a node that does not know yet how much counts as the others do. */
  readonly share: number;
}

export function prefetchProgress(nodes: readonly PrefetchNode[]): PrefetchProgress {
  const counts = { waiting: 0, fetching: 0, done: 0, failed: 0 };
  let shares = 0;
  for (const { state, piecesHad, piecesWanted } of nodes) {
    counts[state] += 1;
    if (state === 'done') shares += 1;
    else if (piecesWanted > 0) shares += Math.min(1, piecesHad / piecesWanted);
  }
  return { ...counts, share: nodes.length === 0 ? 0 : shares / nodes.length };
}

/** `20 % of the nodes of zone az1, boot order only, priority 9, pinned`. */
export function scopeText(order: Prefetch): string {
  const { nodesGiven, zone, percent = 0, minCopies = 0, bootOrderOnly, priority, pin } = order;
  const where = zone === undefined ? 'each zone' : `zone ${zone}`;
  return [
    ...(nodesGiven === undefined ? [] : [countOf(nodesGiven.length, 'named node')]),
    ...(percent > 0 ? [`${percent} % of the nodes of ${where}`] : []),
    ...(minCopies > 0 ? [`at least ${countOf(minCopies, 'copy', 'copies')}`] : []),
    ...[bootOrderOnly ? 'boot order only' : 'the whole image', `priority ${priority}`],
    ...(pin ? ['pinned'] : []),
  ].join(', ');
}

const STATES: readonly Prefetch['state'][] = [
  'active',
  'done',
  'expired',
  'cancelled',
  'withdrawn',
];

/** Those that are late first, then those that go on, the newest first. */
export function byConcern(a: Prefetch, b: Prefetch): number {
  return (
    Number(b.isLate) - Number(a.isLate) ||
    STATES.indexOf(a.state) - STATES.indexOf(b.state) ||
    Date.parse(b.createdAt) - Date.parse(a.createdAt)
  );
}
