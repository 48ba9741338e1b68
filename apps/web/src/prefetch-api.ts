/** GET /v1/prefetches of the tracker. A tracker of before has none: its OpenAPI document tells, as asking would be an error. */
import type { PrefetchNodeSummary, PrefetchSummary } from '@bootswarm/tracker';

export type PrefetchNode = PrefetchNodeSummary;
export type Prefetch = PrefetchSummary;

const PATH = '/v1/prefetches';

export async function hasPrefetches(): Promise<boolean> {
  const { paths } = await getJson<{ paths: Record<string, unknown> }>('/v1/openapi.json');
  return PATH in paths;
}

export async function listPrefetches(): Promise<readonly Prefetch[]> {
  return (await getJson<{ prefetches: Prefetch[] }>(PATH)).prefetches;
}

async function getJson<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`${path} answers ${response.status}`);
  return (await response.json()) as T;
}
