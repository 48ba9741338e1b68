/** POST /v1/images: runs a publish and tells how it goes, one JSON object per line. It ends when the caller goes away. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { publicSource } from '@bootswarm/image-source';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { PublishEvent } from './api.ts';
import { readPublishRequest } from './publish-request.ts';
import type { Publisher, PublishProgress } from './publisher.ts';

/** Ten a second look smooth. */
const PROGRESS_INTERVAL_MS = 100;

export async function publishStream(
  request: IncomingMessage,
  response: ServerResponse,
  publisher: Publisher,
  { log, openAtOrigin }: { log: Logger; openAtOrigin(image: string): Promise<void> },
): Promise<void> {
  const publish = await readPublishRequest(request);
  const startedAt = performance.now();
  const gone = new AbortController();
  response.on('close', () => gone.abort(new Error('the caller went away')));
  // A slow source may say nothing for a while.
  request.socket.setTimeout(0);
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  // Else the first progress would be the first sign of life.
  response.flushHeaders();
  const send = (event: PublishEvent) => response.write(`${JSON.stringify(event)}\n`);
  const publishLog = log.child({ source: publicSource(publish.source) });
  try {
    publishLog.info('publishing');
    const onProgress = throttled((progress) => {
      if (!response.writableNeedDrain) send(progress);
    });
    const result = await publisher.publish(publish, onProgress, gone.signal);
    // `published` promises that a node which joins now finds a source.
    await openAtOrigin(result.image.id);
    const seconds = (performance.now() - startedAt) / 1_000;
    publishLog.info(
      { image: result.image.id, alreadyThere: result.alreadyThere, seconds },
      'published',
    );
    send({ type: 'published', ...result, seconds });
  } catch (error) {
    publishLog.warn({ error: messageOf(error) }, 'not published');
    send(failureOf(error));
  }
  response.end();
}

/** Lets through the first and the last of each stage, and between them one per interval. */
function throttled(send: (progress: PublishProgress) => void): (progress: PublishProgress) => void {
  let stage: string | undefined;
  let sentAt = 0;
  return (progress) => {
    const now = performance.now();
    const isLast = progress.bytesDone === progress.bytesTotal;
    if (progress.stage === stage && !isLast && now - sentAt < PROGRESS_INTERVAL_MS) return;
    stage = progress.stage;
    sentAt = now;
    send(progress);
  };
}

function failureOf(error: unknown): PublishEvent {
  if (error instanceof OperatorError) {
    return { type: 'failed', code: error.code, message: error.message, hint: error.hint };
  }
  return {
    type: 'failed',
    code: 'internal',
    message: 'The tracker could not publish the image.',
    hint: "Read the tracker's log.",
  };
}
