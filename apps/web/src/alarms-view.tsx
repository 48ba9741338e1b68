/** What is the matter, where, since when, and what to do. */
import type { Overview } from '@bootswarm/tracker';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Empty } from './figures.tsx';
import { Pager, pageOf } from './pager.tsx';
import { clockText, countOf, durationText } from './units.ts';

type Alarm = Overview['alarms'][number];

const ALARMS_PER_PAGE = 25;

const TITLES: Readonly<Record<Alarm['code'], string>> = {
  'read-waiting': 'A guest waits for its disk',
  'origin-fallback': 'The origin stands in for other nodes',
  'image-not-spreading': 'An image does not spread',
  'disk-nearly-full': 'A disk is nearly full',
};

export function AlarmsView({ overview }: { overview: Overview }): JSX.Element {
  const [page, setPage] = useState(0);
  const { alarms, at } = overview;
  const newestFirst = alarms.toSorted((a, b) => Date.parse(b.since) - Date.parse(a.since));
  const shown = pageOf(newestFirst, page, ALARMS_PER_PAGE);
  return (
    <div class="view">
      <div class="title">
        <h1>Alarms</h1>
        <p>
          {alarms.length === 0 ? 'none is raised' : `${countOf(alarms.length, 'alarm')} raised`}
        </p>
      </div>
      {alarms.length === 0 && (
        <Empty title="Nothing is the matter">
          <p>
            An alarm is raised when a guest waits more than 5 s for a read, when nodes read from the
            origin what others should have given, when an image does not spread, and when a disk is
            nearly full. It goes 10 s after its cause has gone.
          </p>
        </Empty>
      )}
      <ul class="alarms">
        {shown.items.map((alarm) => (
          <li key={`${alarm.node} ${alarm.code} ${alarm.subject}`} class="card alarm-card">
            <AlarmText alarm={alarm} nowMs={Date.parse(at)} />
          </li>
        ))}
      </ul>
      <Pager of={shown} what="alarms" onPage={setPage} />
    </div>
  );
}

function AlarmText({ alarm, nowMs }: { alarm: Alarm; nowMs: number }): JSX.Element {
  const { code, node, subject, reason, hint, since } = alarm;
  const sinceMs = Date.parse(since);
  return (
    <>
      <header>
        <h2>{TITLES[code] ?? code}</h2>
        <span class="when">
          since {clockText(sinceMs)}, for {durationText((nowMs - sinceMs) / 1_000)}
        </span>
      </header>
      <p class="where">
        {node === 'tracker' ? 'tracker' : `node ${node}`} · {subject} · <code>{code}</code>
      </p>
      <dl>
        <dt>What</dt>
        <dd>{reason}</dd>
        <dt>What to do</dt>
        <dd>{hint}</dd>
      </dl>
    </>
  );
}
