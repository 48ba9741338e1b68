/** What the registry keeps of a host and of its connection. Which of it changes when is SwarmRegistry's matter. */
import type { MessageBudget } from './message-budget.ts';
import type { NodeIdentity } from './messages.ts';
import type { Connection } from './registry-io.ts';
import type { Swarm } from './swarm.ts';

/** One connection; `node` is undefined until its hello. */
export interface Agent {
  readonly connection: Connection;
  readonly remoteHost: string;
  readonly connectedAt: number;
  node: Node | undefined;
  readonly budget: MessageBudget;
}

/** A host by its name: it outlives its connection by the grace of its memberships. */
export interface Node {
  identity: NodeIdentity;
  agent: Agent | undefined;
  readonly memberships: Map<string, Membership>;
}

/** For the driver to look at. */
export interface KnownNode {
  readonly identity: NodeIdentity;
  readonly memberships: ReadonlyMap<string, Membership>;
}

export interface Membership {
  readonly node: Node;
  readonly swarm: Swarm;
}
