/** Long lists by the page: a table of a thousand rows would be drawn anew every second. */
import type { JSX } from 'preact';
import { countText } from './units.ts';

export interface PageOf<Item> {
  readonly items: readonly Item[];
  readonly page: number;
  readonly pages: number;
  /** Index of the first. */
  readonly first: number;
  readonly count: number;
}

/** A page beyond the last is the last: lists become shorter while somebody looks. */
export function pageOf<Item>(all: readonly Item[], page: number, size: number): PageOf<Item> {
  const pages = Math.max(1, Math.ceil(all.length / size));
  const shown = Math.min(page, pages - 1);
  const first = shown * size;
  return { items: all.slice(first, first + size), page: shown, pages, first, count: all.length };
}

export function Pager(props: {
  of: PageOf<unknown>;
  what: string;
  onPage: (page: number) => void;
}): JSX.Element | null {
  const { of, what, onPage } = props;
  const { items, page, pages, first, count } = of;
  if (pages === 1) return null;
  return (
    <nav class="pager" aria-label={`Pages of ${what}`}>
      <button type="button" disabled={page === 0} onClick={() => onPage(page - 1)}>
        Previous
      </button>
      <span>
        {countText(first + 1)} to {countText(first + items.length)} of {countText(count)}
      </span>
      <button type="button" disabled={page === pages - 1} onClick={() => onPage(page + 1)}>
        Next
      </button>
    </nav>
  );
}
