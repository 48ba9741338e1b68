/** Figures as they stand in tables and tiles: numbers and units aligned, shares as bars. */
import type { BytesBySource } from '@bootswarm/tracker';
import type { ComponentChildren, JSX } from 'preact';
import { amountOf, bytesText, percentText } from './units.ts';

/** Numbers end, and units begin, at the same place in every row. */
export function Bytes(props: { bytes: number; perSecond?: boolean }): JSX.Element {
  const { number, unit } = amountOf(props.bytes);
  return (
    <span class={props.bytes === 0 ? 'amount none' : 'amount'}>
      {number}
      <span class={props.perSecond ? 'unit rate' : 'unit'}>
        {unit}
        {props.perSecond && '/s'}
      </span>
    </span>
  );
}

/** A number that stands below or above bytes. */
export function Figure(props: { children: string; unit?: string }): JSX.Element {
  return (
    <span class="amount">
      {props.children}
      <span class="unit">{props.unit}</span>
    </span>
  );
}

export const SOURCES = ['cache', 'peers', 'origin'] as const;
export const SOURCE_NAMES: Readonly<Record<keyof BytesBySource, string>> = {
  ...{ cache: 'cache', peers: 'peers', origin: 'origin' },
};

/** A bar of the sources' shares; said in words to who does not see it. */
export function SourceBar({ bytes }: { bytes: BytesBySource }): JSX.Element {
  const all = bytes.cache + bytes.peers + bytes.origin;
  const shown = SOURCES.filter((source) => bytes[source] > 0);
  const words = shown.map((each) => `${SOURCE_NAMES[each]} ${percentText(bytes[each] / all)}`);
  return (
    <span class="source-bar" role="img" aria-label={words.join(', ') || 'nothing yet'}>
      {shown.map((source) => (
        <span
          key={source}
          class={source}
          title={`${SOURCE_NAMES[source]}: ${bytesText(bytes[source])}`}
          style={{ flexGrow: bytes[source] / all }}
        />
      ))}
    </span>
  );
}

export function Meter(props: { share: number; label: string; tone?: 'good' | 'bad' }): JSX.Element {
  const width = `${Math.min(100, Math.max(0, props.share * 100))}%`;
  return (
    <span class={`meter ${props.tone ?? ''}`} role="img" aria-label={props.label}>
      <span style={{ width }} />
    </span>
  );
}

export function Tile(props: {
  label: string;
  source?: keyof BytesBySource;
  children: ComponentChildren;
  note: ComponentChildren;
}): JSX.Element {
  const { label, source, children, note } = props;
  return (
    <div class={source === undefined ? 'tile' : `tile of-source ${source}`}>
      <dt>{label}</dt>
      <dd>
        <strong>{children}</strong>
        <small>{note}</small>
      </dd>
    </div>
  );
}

/** What a view says when there is nothing to show, and what to do about it. */
export function Empty(props: { title: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <h2>{props.title}</h2>
      {props.children}
    </div>
  );
}
