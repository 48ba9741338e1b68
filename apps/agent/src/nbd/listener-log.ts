/** Says in the log what the operator has to know of the NBD server; what clients do to themselves is for who looks closely. */
import { messageOf, ProtocolError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import { ErrorCounts } from '../telemetry/error-counts.ts';
import type { NbdListenerEvent } from './nbd-listener.ts';

/** A client that is refused comes again at once, and there may be hundreds. */
const REFUSED_EVERY_MS = 60_000;

/** `now` in milliseconds. */
export function listenerLog(
  log: Logger,
  now = () => performance.now(),
  errors = new ErrorCounts(),
) {
  let refusedToldAt = Number.NEGATIVE_INFINITY;
  return (event: NbdListenerEvent): void => {
    switch (event.type) {
      case 'listener-failed': {
        errors.add('nbd', 'listener-failed');
        const hint = 'Look for what this host has run out of: descriptors (LimitNOFILE=), memory.';
        return log.error({ error: messageOf(event.error), hint }, 'NBD clients not accepted');
      }
      case 'tcp-failed': {
        const { error, retryMs } = event;
        return log.error({ error: messageOf(error), retryMs }, 'no NBD over TCP');
      }
      case 'tcp-listening':
        return log.info({ address: event.address }, 'NBD over TCP');
      case 'connection-refused':
        errors.add('nbd', 'connection-refused');
        if (now() - refusedToldAt < REFUSED_EVERY_MS) return;
        refusedToldAt = now();
        return log.warn(event, 'NBD clients refused: too many are connected');
      case 'connection-ended': {
        const { error, ...told } = event;
        if (error === undefined) return log.debug(told, 'NBD');
        errors.add('nbd', error instanceof ProtocolError ? error.code : event.reason);
        const isOurs = event.reason === 'failed' && !(error instanceof ProtocolError);
        if (isOurs) log.error({ ...told, err: error }, 'NBD');
        else log.debug({ ...told, error: messageOf(error) }, 'NBD');
      }
    }
  };
}
