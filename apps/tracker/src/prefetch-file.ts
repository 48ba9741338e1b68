/**
 * prefetches.json in the data directory: the prefetch orders, kept over restarts. Read as strictly as anything from outside: a
 * damaged file costs the orders, never the tracker's start.
 */
import {
  isName,
  type NodePrefetch,
  PREFETCH_ID,
  PRIORITY_MAX,
  type PrefetchEnd,
  type PrefetchRecord,
  type PrefetchSpec,
  type PrefetchState,
} from '@bootswarm/tracker-proto';

export const PREFETCH_FILE = 'prefetches.json';
/** 256 orders, each on every node of a cloud of 1,000 with names of 40 bytes, and some. */
export const PREFETCH_BYTES_MAX = 64 * 1024 * 1024;

const STATES: readonly string[] = ['waiting', 'fetching', 'done', 'failed'];
const ENDS: readonly string[] = ['expired', 'cancelled', 'withdrawn'];

export function encodePrefetches(records: readonly PrefetchRecord[]): string {
  return `${JSON.stringify({ version: 1, orders: records })}\n`;
}

/** Throws Error with what is wrong. */
export function decodePrefetches(text: string): PrefetchRecord[] {
  const { version, orders } = objectOf(JSON.parse(text));
  if (version !== 1) throw new Error(`it has version ${String(version)}`);
  if (!Array.isArray(orders)) throw new Error('its orders are no list');
  return orders.map(recordOf);
}

function recordOf(value: unknown): PrefetchRecord {
  const { spec, end, nodes } = objectOf(value);
  if (!Array.isArray(nodes)) throw new Error('the nodes of an order are no list');
  if (end !== undefined && !ENDS.includes(end as string)) throw new Error('an end is wrong');
  return {
    spec: specOf(objectOf(spec)),
    ...(end !== undefined && { end: end as PrefetchEnd }),
    nodes: nodes.map((each: unknown) => {
      const [node, state] = Array.isArray(each) ? each : [];
      return [nameOf(node), stateOf(objectOf(state))] as const;
    }),
  };
}

function specOf(spec: Record<string, unknown>): PrefetchSpec {
  const { id, image, nodes, zone, bootOrderOnly, isPinned, deadlineAtMs, expiresAtMs } = spec;
  if (typeof id !== 'string' || !PREFETCH_ID.test(id)) throw new Error('an id is wrong');
  if (typeof image !== 'string' || !/^[0-9a-f]{40}$/.test(image))
    throw new Error('an image is wrong');
  if (nodes !== undefined && !Array.isArray(nodes)) throw new Error('nodes are no list');
  return {
    id,
    image,
    ...(nodes !== undefined && { nodes: nodes.map(nameOf) }),
    ...(zone !== undefined && { zone: nameOf(zone) }),
    percent: numberOf(spec.percent, 100),
    minCopies: numberOf(spec.minCopies, Number.MAX_SAFE_INTEGER),
    bootOrderOnly: bootOrderOnly === true,
    priority: numberOf(spec.priority, PRIORITY_MAX),
    isPinned: isPinned === true,
    createdAtMs: numberOf(spec.createdAtMs, Number.MAX_SAFE_INTEGER),
    ...(deadlineAtMs !== undefined && {
      deadlineAtMs: numberOf(deadlineAtMs, Number.MAX_SAFE_INTEGER),
    }),
    ...(expiresAtMs !== undefined && {
      expiresAtMs: numberOf(expiresAtMs, Number.MAX_SAFE_INTEGER),
    }),
  };
}

function stateOf({ state, piecesHad, piecesWanted, code }: Record<string, unknown>): NodePrefetch {
  if (typeof state !== 'string' || !STATES.includes(state)) throw new Error('a state is wrong');
  if (typeof code !== 'string' || code.length > 64) throw new Error('a code is wrong');
  return {
    state: state as PrefetchState,
    piecesHad: numberOf(piecesHad, 0xffff_ffff),
    piecesWanted: numberOf(piecesWanted, 0xffff_ffff),
    code,
  };
}

function nameOf(value: unknown): string {
  if (typeof value === 'string' && isName(value)) return value;
  throw new Error('a name is wrong');
}

function numberOf(value: unknown, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max)
    return value as number;
  throw new Error(`${JSON.stringify(value)} is no number up to ${max}`);
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error('it is no object');
  return value as Record<string, unknown>;
}
