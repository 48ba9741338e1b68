/** Which of many nodes a table shows, and in which order. Pure: what the table looks like is node-table.tsx's matter. */
import type { NodeOverview } from '@bootswarm/tracker';

export type NodeState = NodeOverview['state'];
export const NODE_STATES: readonly NodeState[] = ['alarm', 'booting', 'fetching', 'idle'];

export type NodeOrder =
  | 'node'
  | 'zone'
  | 'state'
  | 'vms'
  | 'images'
  | 'cache'
  | 'peers'
  | 'origin'
  | 'rate'
  | 'disk';

export interface NodeChoice {
  /** Part of the name, zone, rack or address; empty: all. */
  readonly text: string;
  readonly zone: string;
  readonly state: NodeState | '';
  readonly order: NodeOrder;
  readonly isDescending: boolean;
}

export const ALL_NODES: NodeChoice = {
  ...{ text: '', zone: '', state: '', order: 'node', isDescending: false },
};

/** node2 before node10. */
const NAMES = new Intl.Collator('en', { numeric: true });

const FIGURES: Readonly<
  Record<Exclude<NodeOrder, 'node' | 'zone'>, (node: NodeOverview) => number>
> = {
  state: ({ state }) => -NODE_STATES.indexOf(state),
  vms: ({ vmsBooting, vmsConnected }) => vmsBooting * 1e6 + vmsConnected,
  images: ({ images }) => images,
  cache: ({ read }) => read.cache,
  peers: ({ received }) => received.peers,
  origin: ({ received }) => received.origin,
  rate: ({ bytesPerSecond }) => bytesPerSecond,
  disk: ({ cacheBytes }) => cacheBytes,
};

export function chooseNodes(nodes: readonly NodeOverview[], choice: NodeChoice): NodeOverview[] {
  const { zone, state, order, isDescending } = choice;
  const text = choice.text.trim().toLowerCase();
  const sign = isDescending ? -1 : 1;
  return nodes
    .filter((each) => (zone === '' || each.zone === zone) && (state === '' || each.state === state))
    .filter((each) => text === '' || namesOf(each).includes(text))
    .sort((a, b) => sign * compare(a, b, order) || NAMES.compare(a.node, b.node));
}

function compare(a: NodeOverview, b: NodeOverview, order: NodeOrder): number {
  if (order === 'node') return NAMES.compare(a.node, b.node);
  if (order === 'zone') return NAMES.compare(a.zone, b.zone);
  return FIGURES[order](a) - FIGURES[order](b);
}

function namesOf({ node, zone, rack, address }: NodeOverview): string {
  return `${node}\n${zone}\n${rack}\n${address}`.toLowerCase();
}
