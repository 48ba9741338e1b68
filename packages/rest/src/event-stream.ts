/**
 * Server-Sent Events for whoever listens: each event is encoded once for all. A listener that does not read misses events and
 * is cut off in the end; how many may listen is limited.
 */
import type { ServerResponse } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';

export const EVENT_STREAM_TYPE = 'text/event-stream';

export interface EventStreamOptions {
  readonly listenersMax: number;
  /** Bytes that a listener has not read: above it, it misses the next event. */
  readonly bufferedBytesMax: number;
  /** Events in a row that a listener may miss. */
  readonly missedMax: number;
}

const LIMITS: EventStreamOptions = {
  listenersMax: 64,
  bufferedBytesMax: 1024 * 1024,
  missedMax: 30,
};

export class EventStream {
  readonly #limits: EventStreamOptions;
  /** Each with the events it missed in a row. */
  readonly #listeners = new Map<ServerResponse, number>();

  constructor(limits: Partial<EventStreamOptions> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  get size(): number {
    return this.#listeners.size;
  }

  /** The response is a stream from now on, beginning with `first`. Throws OperatorError `too-many-streams`. */
  add(response: ServerResponse, name: string, first: object): void {
    if (this.#listeners.size >= this.#limits.listenersMax) {
      throw new OperatorError(
        'too-many-streams',
        `${this.#limits.listenersMax} listen already`,
        'Close one, or poll the same data with GET.',
      );
    }
    response.writeHead(200, {
      'content-type': EVENT_STREAM_TYPE,
      'cache-control': 'no-store',
      // A proxy would collect events otherwise.
      'x-accel-buffering': 'no',
    });
    this.#listeners.set(response, 0);
    response.on('close', () => this.#listeners.delete(response));
    response.on('error', () => response.destroy());
    response.write(eventText(name, first));
  }

  send(name: string, data: object): void {
    if (this.#listeners.size === 0) return;
    const text = eventText(name, data);
    for (const [response, missed] of this.#listeners) {
      if (response.writableLength <= this.#limits.bufferedBytesMax) {
        this.#listeners.set(response, 0);
        response.write(text);
      } else if (missed >= this.#limits.missedMax) {
        response.destroy();
      } else {
        this.#listeners.set(response, missed + 1);
      }
    }
  }

  close(): void {
    for (const response of this.#listeners.keys()) response.end();
    this.#listeners.clear();
  }
}

/** JSON has no line breaks of its own. */
function eventText(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
