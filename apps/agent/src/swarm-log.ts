/** What of a swarm is worth a log line, and what is counted as an error. */
import type { SwarmEvent } from '@bootswarm/swarm-driver';
import type { Logger } from 'pino';
import type { ErrorCounts } from './telemetry/error-counts.ts';

export function logSwarmEvent(
  log: Logger,
  errors: ErrorCounts,
  image: string,
  event: SwarmEvent,
): void {
  if (event.type === 'peer-closed') errors.add('wire', event.code);
  if (event.type === 'dial-failed') errors.add('dial', event.code);
  if (event.type === 'piece-refuted') {
    errors.add('piece', 'refuted');
    log.error({ image, ...event }, 'swarm');
  } else {
    log.debug({ image, ...event }, 'swarm');
  }
}

/** With its stack: nobody but us can mend it. */
export function logWireMistake(log: Logger, error: unknown, address: string): void {
  log.error({ address, err: error }, 'a mistake of ours cost this wire');
}
