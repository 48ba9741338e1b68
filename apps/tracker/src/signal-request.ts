/** The request that asks for an agent's WebSocket: whether it may have one, and from which host it comes. */
import type { IncomingMessage } from 'node:http';

const SIGNAL_PATH = '/v1/signal';

/** Agents are no browsers: what has an Origin is a page that somebody opened within reach of the tracker. */
export function whyNotUpgrade(request: IncomingMessage): string | undefined {
  if (request.url !== SIGNAL_PATH) return '404 Not Found';
  return request.headers.origin === undefined ? undefined : '403 Forbidden';
}

/** As a member's address has it: neither an IPv4 address in IPv6 form nor an IPv6 zone index means anything elsewhere. */
export function hostOf(remoteAddress: string | undefined): string {
  return (remoteAddress ?? '0.0.0.0').replace(/^::ffff:(?=[0-9.]+$)/, '').replace(/%.*$/, '');
}
