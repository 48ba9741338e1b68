/**
 * What a node says of itself to the tracker: its names, and where other nodes reach it. Refuses at the start what the tracker
 * would refuse for ever, and notices when the address that others were given is of no use to them.
 */
import { OperatorError } from '@bootswarm/stdx';
import { isHost, isName, type NodeIdentity, type PeerAddress } from '@bootswarm/tracker-proto';

export interface SelfOptions {
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  /** The host that others are to dial, when it is not the one we listen on. */
  readonly advertise?: string;
}

const WILDCARDS = ['0.0.0.0', '::'];

/**
 * `listening` is where peers are accepted. The host stays empty when that is every address of this host: the tracker then gives
 * others the address it sees. Throws OperatorError `node-name` or `advertise-host`.
 */
export function selfMember(options: SelfOptions, listening: PeerAddress): NodeIdentity {
  const { node, zone, rack, advertise } = options;
  for (const [what, name] of Object.entries({ node, zone, rack })) {
    if (isName(name)) continue;
    throw new OperatorError(
      'node-name',
      `${JSON.stringify(name.slice(0, 200))} cannot name a ${what}`,
      `Give --${what} 1 to 128 bytes of printable UTF-8.`,
    );
  }
  const host = dialledHost(advertise, listening.host);
  return { node, zone, rack, address: { host, port: listening.port } };
}

function dialledHost(advertise: string | undefined, listening: string): string {
  if (advertise === undefined && WILDCARDS.includes(listening)) return '';
  const host = advertise ?? listening;
  if (isHost(host) && !WILDCARDS.includes(host)) return host;
  throw new OperatorError(
    'advertise-host',
    `Other nodes cannot dial ${JSON.stringify(host.slice(0, 200))}`,
    'Give --advertise an IP address or a DNS name of this host.',
  );
}

/** Whether the tracker tells nodes on other hosts to dial `node` on their own loopback address, because it sees that one. */
export function isOutOfReach(node: string, members: readonly NodeIdentity[]): boolean {
  const self = members.find((member) => member.node === node);
  if (self === undefined || !isLoopback(self.address.host)) return false;
  return members.some(({ address }) => !isLoopback(address.host));
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.[0-9.]+$/.test(host);
}
