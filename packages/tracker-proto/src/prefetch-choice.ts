/**
 * Which nodes carry out a prefetch order: by name, or a part of those there are. The same order and the same nodes give the same
 * choice, whatever came first; who was chosen stays chosen. Pure.
 */

export interface NodePlace {
  readonly node: string;
  readonly zone: string;
}

export interface PrefetchScope {
  /** These and no others, whether they are there or not. */
  readonly nodes?: readonly string[];
  /** Only nodes of this zone. */
  readonly zone?: string;
  /** Of the nodes of each zone, 1 to 100, rounded up. */
  readonly percent: number;
  /** Nodes at least, over all zones: as long as there are so many. */
  readonly minCopies: number;
}

/**
 * `chosen`: who was before, as far as they are there; all stay. `excluded`: those for whom another is to be found. A whole zone
 * (100 percent) means all of it, excluded or not.
 */
export function chooseNodes(
  orderId: string,
  scope: PrefetchScope,
  places: readonly NodePlace[],
  chosen: ReadonlySet<string>,
  excluded: ReadonlySet<string> = new Set(),
): Set<string> {
  if (scope.nodes !== undefined) return new Set(scope.nodes);
  const zones = zonesOf(
    places.filter(({ zone }) => scope.zone === undefined || zone === scope.zone),
  );
  const picked = new Set<string>();
  const left: {
    readonly zone: string;
    readonly ranked: string[];
    readonly size: number;
    taken: number;
  }[] = [];
  for (const [zone, nodes] of zones) {
    const wanted = Math.ceil((nodes.length * scope.percent) / 100);
    const ranked = ranking(orderId, nodes, chosen).filter(
      (node) => scope.percent === 100 || !excluded.has(node),
    );
    const kept = ranked.filter((node) => chosen.has(node)).length;
    const taken = ranked.splice(0, Math.max(wanted, kept));
    for (const node of taken) picked.add(node);
    left.push({ zone, ranked, size: nodes.length, taken: taken.length });
  }
  while (picked.size < scope.minCopies) {
    const poorest = left
      .filter(({ ranked }) => ranked.length > 0)
      .reduce<(typeof left)[number] | undefined>(
        (best, each) =>
          best === undefined || each.taken / each.size < best.taken / best.size ? each : best,
        undefined,
      );
    if (poorest === undefined) break;
    picked.add(poorest.ranked.shift()!);
    poorest.taken += 1;
  }
  return picked;
}

/** By name, so that ties are broken the same way each time. */
function zonesOf(places: readonly NodePlace[]): [string, string[]][] {
  const zones = new Map<string, string[]>();
  for (const { node, zone } of places) {
    const nodes = zones.get(zone);
    if (nodes === undefined) zones.set(zone, [node]);
    else nodes.push(node);
  }
  return [...zones].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Who was chosen first, then by a hash of order and node: orders do not all fall upon the same nodes. */
function ranking(orderId: string, nodes: readonly string[], chosen: ReadonlySet<string>): string[] {
  return nodes
    .map((node) => ({ node, isChosen: chosen.has(node), rank: fnv1a(`${orderId} ${node}`) }))
    .sort(
      (a, b) =>
        Number(b.isChosen) - Number(a.isChosen) || a.rank - b.rank || (a.node < b.node ? -1 : 1),
    )
    .map(({ node }) => node);
}

/** 32-bit FNV-1a over UTF-16 units, with a last mix: names that differ in their last digit are spread as well. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
