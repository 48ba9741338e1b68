/** A boot storm as it happens, or the last one: how many VMs boot, where bytes come from, and why the origin was read. */
import type { Overview, Storm } from '@bootswarm/tracker';
import type { JSX } from 'preact';
import { Bytes, Empty, SourceBar, Tile } from './figures.tsx';
import { OriginReads } from './origin-reads.tsx';
import type { HistoryColumns } from './sample-history.ts';
import { StormCharts } from './storm-charts.tsx';
import {
  bytesText,
  clockText,
  countOf,
  countText,
  dayText,
  durationText,
  percentText,
} from './units.ts';

export function StormView(props: { overview: Overview; history: HistoryColumns }): JSX.Element {
  const { overview, history } = props;
  const { storm, now, tracker } = overview;
  return (
    <div class="view">
      <div class="title">
        <h1>{titleOf(storm)}</h1>
        <p>{storm === null ? 'no VM has booted yet' : timesOf(storm, overview.at)}</p>
      </div>
      {storm === null ? <NoStorm uptimeSeconds={tracker.uptimeSeconds} /> : null}
      <Figures storm={storm} vmsBooting={now.vmsBooting} nodes={tracker.agents} />
      <div class="columns">
        <StormCharts history={history} />
        <div class="side">
          {storm !== null && <GuestReads storm={storm} />}
          <OriginReads overview={overview} />
        </div>
      </div>
    </div>
  );
}

function titleOf(storm: Storm | null): string {
  if (storm === null) return 'No storm';
  return storm.endedAt === null ? 'Boot storm' : 'Last boot storm';
}

function timesOf({ startedAt, endedAt }: Storm, at: string): JSX.Element {
  const start = Date.parse(startedAt);
  const end = endedAt === null ? Date.parse(at) : Date.parse(endedAt);
  const length = durationText((end - start) / 1_000);
  return endedAt === null ? (
    <>
      since {clockText(start)}, for {length}
    </>
  ) : (
    <>
      {dayText(start)}, {clockText(start)} to {clockText(end)}, {length}
    </>
  );
}

function NoStorm({ uptimeSeconds }: { uptimeSeconds: number }): JSX.Element {
  return (
    <Empty
      title={`No VM has booted since the tracker was started ${durationText(uptimeSeconds)} ago`}
    >
      <p>On a compute node, make a VM of an image and start it with what this prints:</p>
      <pre>bootswarm vm create IMAGE --name web1</pre>
    </Empty>
  );
}

function Figures(props: { storm: Storm | null; vmsBooting: number; nodes: number }): JSX.Element {
  const { storm, vmsBooting, nodes } = props;
  const amount = (bytes: number | undefined) =>
    bytes === undefined ? '–' : <Bytes bytes={bytes} />;
  const best =
    nodes > 0 ? `at best ${percentText(1 / nodes)}, with ${countOf(nodes, 'node')}` : 'no node';
  return (
    <dl class="tiles">
      <Tile
        label="VMs booting"
        note={storm === null ? 'none yet' : `at most ${countText(storm.vmsBootingMax)} at a time`}
      >
        {countText(vmsBooting)}
      </Tile>
      <Tile label="From cache" source="cache" note="read by guests">
        {amount(storm?.read.cache)}
      </Tile>
      <Tile label="From peers" source="peers" note="received by nodes">
        {amount(storm?.received.peers)}
      </Tile>
      <Tile label="From the origin" source="origin" note="received by nodes">
        {amount(storm?.received.origin)}
      </Tile>
      <Tile label="Origin ratio" note={best}>
        {storm === null ? '–' : percentText(storm.originShare)}
      </Tile>
    </dl>
  );
}

function GuestReads({ storm: { read } }: { storm: Storm }): JSX.Element {
  const all = read.cache + read.peers + read.origin;
  const share = (bytes: number) => (all === 0 ? '–' : percentText(bytes / all));
  return (
    <section class="card">
      <h2>What guests read</h2>
      <p class="note">{bytesText(all)}, by where it was when the read arrived</p>
      <SourceBar bytes={read} />
      <dl class="shares">
        <dt class="of-source cache">in the node's cache</dt>
        <dd>{share(read.cache)}</dd>
        <dt class="of-source peers">at other nodes</dt>
        <dd>{share(read.peers)}</dd>
        <dt class="of-source origin">at the origin only</dt>
        <dd>{share(read.origin)}</dd>
      </dl>
    </section>
  );
}
