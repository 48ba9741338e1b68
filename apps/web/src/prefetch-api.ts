/** GET /v1/prefetches of the tracker. A tracker of before has none: its OpenAPI document tells, as asking would be an error. */

export interface PrefetchNode {
  readonly node: string;
  readonly state: 'waiting' | 'fetching' | 'done' | 'failed';
  readonly piecesHad: number;
  /** 0 until the node knows. */
  readonly piecesWanted: number;
  /** Why it failed. */
  readonly code: string;
}

export interface Prefetch {
  readonly id: string;
  readonly image: string;
  /** Empty when the image is withdrawn. */
  readonly imageName: string;
  readonly state: 'active' | 'done' | 'expired' | 'cancelled' | 'withdrawn';
  readonly isLate: boolean;
  readonly nodesGiven?: readonly string[];
  readonly zone?: string;
  readonly percent?: number;
  readonly minCopies?: number;
  readonly bootOrderOnly: boolean;
  readonly priority: number;
  readonly pin: boolean;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly deadlineAt?: string;
  readonly expiresAt?: string;
  readonly nodes: readonly PrefetchNode[];
}

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
