/**
 * The member order of a swarm as this node last heard it, kept in the cache so that an agent that restarts while the tracker is
 * away finds its peers.
 */
import type { SwarmMember } from '@bootswarm/swarm-proto';

export interface SwarmView {
  readonly members: readonly SwarmMember[];
  readonly origins: readonly { readonly host: string; readonly port: number }[];
}

export function encodeSwarmView(view: SwarmView): Uint8Array {
  return Buffer.from(JSON.stringify({ version: 2, members: view.members, origins: view.origins }));
}

/** Undefined when the bytes are not a view this version wrote: the tracker will tell us again. */
export function decodeSwarmView(bytes: Uint8Array): SwarmView | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  const { version, members, origins } = (value ?? {}) as Record<string, unknown>;
  if (version !== 2 || !Array.isArray(members) || !Array.isArray(origins)) return undefined;
  return members.every(isMember) && origins.every(isAddress) ? { members, origins } : undefined;
}

function isAddress(value: unknown): value is { host: string; port: number } {
  const { host, port } = (value ?? {}) as Record<string, unknown>;
  const isPort = Number.isInteger(port) && (port as number) > 0 && (port as number) <= 65_535;
  return typeof host === 'string' && isPort;
}

function isMember(value: unknown): value is SwarmMember {
  const { node, zone, rack, place } = (value ?? {}) as Record<string, unknown>;
  const isNamed = [node, zone, rack].every((each) => typeof each === 'string');
  return isAddress(value) && isNamed && Number.isInteger(place) && (place as number) >= 0;
}
