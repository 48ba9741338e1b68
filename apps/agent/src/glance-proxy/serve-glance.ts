/** Has an agent serve the API of Glance, and its status tell of it. */
import type { UndoSteps } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { Agent } from '../agent.ts';
import { GlanceProxy } from './glance-proxy.ts';

export interface GlanceProxyAddress {
  readonly host: string;
  readonly port: number;
  /** Of the Glance behind it. */
  readonly url: URL;
}

/** Throws OperatorError `listen`. */
export async function serveGlance(
  { host, port, url }: GlanceProxyAddress,
  agent: Agent,
  log: Logger,
  opened: UndoSteps,
): Promise<void> {
  const open = (glanceId: string, token?: string) => agent.copyOfGlance(glanceId, token);
  const proxy = await GlanceProxy.listen({ host, port, glanceUrl: url, log, open });
  agent.glanceProxy = proxy;
  opened.push(() => proxy.close());
}
