/** The frame of the page: which view is shown, whether the tracker is there, and what is common to all views. */
import type { Overview } from '@bootswarm/tracker';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { AlarmsView } from './alarms-view.tsx';
import { ImagesView } from './images-view.tsx';
import { NodesView } from './nodes-view.tsx';
import { type Connection, type FeedState, OverviewFeed } from './overview-feed.ts';
import { hasPrefetches } from './prefetch-api.ts';
import { PrefetchView } from './prefetch-view.tsx';
import { StormView } from './storm-view.tsx';
import { clockText, countOf, durationText } from './units.ts';
import { VIEWS, type ViewName, viewOf } from './view-name.ts';

const TITLES: Readonly<Record<ViewName, string>> = {
  ...{ storm: 'Storm', images: 'Images', nodes: 'Nodes', prefetch: 'Prefetch', alarms: 'Alarms' },
};

const NOTHING_YET: FeedState = {
  connection: 'connecting',
  overview: undefined,
  history: { at: [], vmsBooting: [], cache: [], peers: [], origin: [], originPercent: [] },
};

export function App(): JSX.Element {
  const state = useFeed();
  const view = useView();
  const isLive = state.connection === 'live';
  const withPrefetch = usePrefetches(isLive);
  const { overview } = state;
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <Header overview={overview} connection={state.connection}>
        {VIEWS.filter((name) => name !== 'prefetch' || withPrefetch).map((name) => (
          <a key={name} href={`#/${name}`} aria-current={name === view ? 'page' : undefined}>
            {TITLES[name]}
            {name === 'alarms' && <AlarmCount overview={overview} />}
          </a>
        ))}
      </Header>
      <main id="content" tabIndex={-1}>
        {overview === undefined ? (
          <Waiting connection={state.connection} />
        ) : (
          <>
            {view === 'storm' && <StormView overview={overview} history={state.history} />}
            {view === 'images' && <ImagesView overview={overview} />}
            {view === 'nodes' && <NodesView overview={overview} />}
            {view === 'prefetch' && <PrefetchView overview={overview} isLive={isLive} />}
            {view === 'alarms' && <AlarmsView overview={overview} />}
          </>
        )}
      </main>
      {overview !== undefined && state.connection === 'lost' && (
        <p class="lost" role="alert">
          The tracker does not answer, and is asked again every 2 s. This is what it told at{' '}
          {clockText(Date.parse(overview.at))}. Guests go on booting: a swarm that runs needs no
          tracker.
        </p>
      )}
    </>
  );
}

function Header(props: {
  overview: Overview | undefined;
  connection: Connection;
  children: ComponentChildren;
}): JSX.Element {
  const { overview, connection, children } = props;
  const tracker = overview?.tracker;
  return (
    <header>
      <div class="bar">
        <span class="brand">bootswarm</span>
        <nav aria-label="Views">{children}</nav>
        <ConnectionLight connection={connection} />
      </div>
      <p class="facts">
        {tracker === undefined ? (
          ' '
        ) : (
          <>
            <span>{countOf(tracker.agents, 'node')}</span>
            <span>{countOf(overview?.images.length ?? 0, 'image')}</span>
            <span class={tracker.hasOrigin ? undefined : 'bad'}>
              {tracker.hasOrigin ? 'origin up' : 'origin down'}
            </span>
            <span class="wide">
              tracker {tracker.version}, up {durationText(tracker.uptimeSeconds)}
            </span>
          </>
        )}
      </p>
    </header>
  );
}

function ConnectionLight({ connection }: { connection: Connection }): JSX.Element {
  const text = { connecting: 'Connecting', live: 'Live', lost: 'No tracker' }[connection];
  return (
    <span class={`light ${connection}`} role="status">
      {text}
    </span>
  );
}

/** Has its place also while there is none, so that no link moves when one is raised. */
function AlarmCount({ overview }: { overview: Overview | undefined }): JSX.Element {
  const count = overview?.alarms.length ?? 0;
  return <span class={count === 0 ? 'badge none' : 'badge'}>{count > 99 ? '99+' : count}</span>;
}

function Waiting({ connection }: { connection: Connection }): JSX.Element {
  if (connection !== 'lost') return <p class="empty">Connecting to the tracker …</p>;
  return (
    <div class="empty" role="alert">
      <h1>The tracker does not answer</h1>
      <p>
        Trying again every 2 s. See that it runs: <code>bootswarm tracker</code>, and that no more
        than 64 pages and terminals watch it.
      </p>
    </div>
  );
}

function useFeed(): FeedState {
  const [state, setState] = useState(NOTHING_YET);
  useEffect(() => {
    const feed = new OverviewFeed('/v1/overview/stream', setState);
    return () => feed.close();
  }, []);
  return state;
}

/** The view that the address names. Who goes to another begins at its top, by keyboard too. */
function useView(): ViewName {
  const [view, setView] = useState(viewOf(location.hash));
  const isFirst = useRef(true);
  useEffect(() => {
    const follow = () => {
      // The link that skips the header names no view.
      if (location.hash !== '#content') setView(viewOf(location.hash));
    };
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, []);
  useEffect(() => {
    document.title = `${TITLES[view]} · bootswarm`;
    if (isFirst.current) isFirst.current = false;
    else {
      window.scrollTo(0, 0);
      document.getElementById('content')?.focus({ preventScroll: true });
    }
  }, [view]);
  return view;
}

/** Asked again when the tracker is back: it may be another version then. */
function usePrefetches(isLive: boolean): boolean {
  const [has, setHas] = useState(false);
  useEffect(() => {
    if (isLive) hasPrefetches().then(setHas, () => setHas(false));
  }, [isLive]);
  return has;
}
