/**
 * Listens to the tracker's overview stream, and goes on listening when the tracker was away. Tells of changes once per frame of
 * the screen at most, with what is newest then: a page in the background costs nothing.
 */
import type { Overview } from '@bootswarm/tracker';
import { type HistoryColumns, SampleHistory } from './sample-history.ts';

export type Connection = 'connecting' | 'live' | 'lost';

export interface FeedState {
  readonly connection: Connection;
  /** The newest there is, also while the connection is lost. */
  readonly overview: Overview | undefined;
  readonly history: HistoryColumns;
}

/** Events come every second: after so long nothing will, though nobody has closed the connection. */
const SILENT_MS = 6_000;
const RETRY_MS = 2_000;

export class OverviewFeed {
  readonly #url: string;
  readonly #onChange: (state: FeedState) => void;
  readonly #history = new SampleHistory();
  #connection: Connection = 'connecting';
  #overview: Overview | undefined;
  #source: EventSource | undefined;
  #isFirst = true;
  #frame: number | undefined;
  #silence: number | undefined;
  #retry: number | undefined;

  constructor(url: string, onChange: (state: FeedState) => void) {
    this.#url = url;
    this.#onChange = onChange;
    this.#open();
  }

  close(): void {
    this.#source?.close();
    window.clearTimeout(this.#silence);
    window.clearTimeout(this.#retry);
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
  }

  #open(): void {
    this.#isFirst = true;
    const source = new EventSource(this.#url);
    this.#source = source;
    source.addEventListener('overview', ({ data }) => this.#take(data));
    // A browser tries again by itself only after some failures, and when it likes.
    source.addEventListener('error', () => this.#lose());
    this.#expectEvent();
  }

  #take(data: string): void {
    const overview = JSON.parse(data) as Overview;
    if (this.#isFirst) this.#history.replace(overview.samples);
    else this.#history.merge(overview.samples);
    this.#isFirst = false;
    this.#overview = overview;
    this.#connection = 'live';
    this.#expectEvent();
    this.#change();
  }

  #expectEvent(): void {
    window.clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.#lose(), SILENT_MS);
  }

  #lose(): void {
    this.#source?.close();
    window.clearTimeout(this.#silence);
    window.clearTimeout(this.#retry);
    this.#connection = 'lost';
    this.#retry = window.setTimeout(() => this.#open(), RETRY_MS);
    this.#change();
  }

  #change(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#onChange({
        connection: this.#connection,
        overview: this.#overview,
        history: this.#history.columns(),
      });
    });
  }
}
