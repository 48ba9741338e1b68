/** Why the origin was read: how often for which reason, and the newest reads. */
import type { Overview } from '@bootswarm/tracker';
import type { JSX } from 'preact';
import { Meter } from './figures.tsx';
import { reasonText } from './origin-reasons.ts';
import { clockText, countOf, countText, percentText } from './units.ts';

const READS_SHOWN = 8;

export function OriginReads({ overview }: { overview: Overview }): JSX.Element {
  const { images, originReads, originReasons } = overview;
  const titles = new Map(images.map(({ id, title }) => [id, title]));
  const reasons = Object.entries(originReasons).sort(([, a], [, b]) => b - a);
  const all = reasons.reduce((sum, [, pieces]) => sum + pieces, 0);
  return (
    <>
      <section class="card">
        <h2>Why the origin was read</h2>
        {all === 0 ? (
          <p class="note">No node has asked it for a piece since the tracker was started.</p>
        ) : (
          <>
            <p class="note">{countOf(all, 'piece')} since the tracker was started</p>
            <ul class="reasons">
              {reasons.map(([reason, pieces]) => (
                <Reason key={reason} {...{ reason, pieces, all }} />
              ))}
            </ul>
          </>
        )}
      </section>
      {originReads.length > 0 && (
        <section class="card">
          <h2>Newest reads of the origin</h2>
          <ul class="reads">
            {originReads.slice(0, READS_SHOWN).map((read) => (
              <li key={`${read.at} ${read.node} ${read.image} ${read.reason}`}>
                <time>{clockText(Date.parse(read.at))}</time>
                <span class="who">{read.node}</span>
                <span class="figure">{countOf(read.pieces, 'piece')}</span>
                <span class="why">
                  {reasonText(read.reason).title} · {titles.get(read.image) ?? read.imageName}
                </span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Reason(props: { reason: string; pieces: number; all: number }): JSX.Element {
  const { reason, pieces, all } = props;
  const { title, explanation, isTrouble } = reasonText(reason);
  return (
    <li>
      <span class={isTrouble ? 'name bad' : 'name'}>{title}</span>
      <span class="figure">{countText(pieces)}</span>
      <Meter
        share={pieces / all}
        label={percentText(pieces / all)}
        tone={isTrouble ? 'bad' : undefined}
      />
      <span class="why">
        {explanation} <code>{reason}</code>
      </span>
    </li>
  );
}
