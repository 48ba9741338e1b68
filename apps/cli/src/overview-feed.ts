/**
 * Listens to the tracker's overview stream, and goes on listening when the tracker was away. What is shown of it, and of the
 * time in between, is the command's matter.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '@bootswarm/stdx';
import type { Overview } from '@bootswarm/tracker';
import type { HttpClient } from './http-client.ts';

export type FeedEvent =
  /** `isFirst`: since it was lost, if it was. Its samples are all that the tracker has. */
  | { readonly type: 'overview'; readonly overview: Overview; readonly isFirst: boolean }
  /** Once for each attempt that fails. */
  | { readonly type: 'lost'; readonly reason: string };

const RETRY_MS = 1_000;
/** The tracker is not there, or not able to serve one more: anything else it has said, and will say again. */
const AWAY: ReadonlySet<string> = new Set([
  ...['tracker-stopped', 'tracker-unreachable', 'tracker-silent', 'tracker-hung-up'],
  ...['too-many-streams', 'unexpected-answer'],
]);

/** Throws OperatorError when the tracker refuses, or when it was not there in the first place. */
export async function* followOverview(
  tracker: HttpClient,
  token: string | undefined,
): AsyncGenerator<FeedEvent> {
  for (let wasThere = false; ; ) {
    let isFirst = true;
    try {
      for await (const overview of tracker.getEvents<Overview>('/v1/overview/stream', token)) {
        yield { type: 'overview', overview, isFirst };
        isFirst = false;
        wasThere = true;
      }
      throw stopped();
    } catch (error) {
      const isAway = error instanceof OperatorError && AWAY.has(error.code);
      if (!isAway || !wasThere) throw error;
      yield { type: 'lost', reason: error.message };
    }
    await delay(RETRY_MS);
  }
}

function stopped(): OperatorError {
  return new OperatorError(
    'tracker-stopped',
    'the tracker has ended the stream',
    'look whether it runs, then start bootswarm watch again',
  );
}
