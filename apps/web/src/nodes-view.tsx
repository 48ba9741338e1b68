/** Zones, and the nodes in them: what each does, holds and has received. */
import type { Overview, ZoneOverview } from '@bootswarm/tracker';
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Bytes, Empty, SourceBar } from './figures.tsx';
import {
  ALL_NODES,
  chooseNodes,
  NODE_STATES,
  type NodeChoice,
  type NodeState,
} from './node-choice.ts';
import { NodeTable } from './node-table.tsx';
import { Pager, pageOf } from './pager.tsx';
import { countOf, countText } from './units.ts';

const NODES_PER_PAGE = 50;

export function NodesView({ overview }: { overview: Overview }): JSX.Element {
  const [choice, setChoice] = useState(ALL_NODES);
  const [page, setPage] = useState(0);
  const { nodes, zones, nodesLeftOut } = overview;
  const choose = (change: Partial<NodeChoice>) => {
    setChoice({ ...choice, ...change });
    setPage(0);
  };
  const shown = pageOf(chooseNodes(nodes, choice), page, NODES_PER_PAGE);
  return (
    <div class="view">
      <div class="title">
        <h1>Nodes</h1>
        <p>
          {countOf(nodes.length + nodesLeftOut, 'node')} in {countOf(zones.length, 'zone')}
        </p>
      </div>
      {nodes.length === 0 ? (
        <NoNodes />
      ) : (
        <>
          <Zones zones={zones} zone={choice.zone} onZone={(zone) => choose({ zone })} />
          <section class="card table">
            <h2 class="unseen">All nodes</h2>
            <Filter {...{ overview, choice, choose, count: shown.count }} />
            <NodeTable nodes={shown.items} alarms={overview.alarms} {...{ choice, choose }} />
            {shown.count === 0 && <p class="note">No node is like that; clear the filter.</p>}
            <Pager of={shown} what="nodes" onPage={setPage} />
            {nodesLeftOut > 0 && (
              <p class="note">
                Those that do least, {countOf(nodesLeftOut, 'node')}, are left out; all are listed
                by <code>bootswarm nodes</code>.
              </p>
            )}
          </section>
        </>
      )}
    </div>
  );
}

function NoNodes(): JSX.Element {
  return (
    <Empty title="No agent is connected">
      <p>Start one on each compute node; it needs to reach this address and the origin's port:</p>
      <pre>bootswarm agent --tracker {location.origin}</pre>
    </Empty>
  );
}

function Zones(props: {
  zones: readonly ZoneOverview[];
  zone: string;
  onZone: (zone: string) => void;
}): JSX.Element {
  const { zones, zone: chosen, onZone } = props;
  return (
    <section class="card table zones" aria-label="Zones">
      <table>
        <thead>
          <tr>
            <th scope="col">Zone</th>
            <th scope="col" class="figure">
              Nodes
            </th>
            <th scope="col" class="figure">
              VMs booting
            </th>
            <th scope="col" class="figure wide">
              From peers
            </th>
            <th scope="col" class="figure wide">
              From origin
            </th>
            <th scope="col" class="bar-column">
              Received
            </th>
          </tr>
        </thead>
        <tbody>
          {zones.map(({ zone, nodes, vmsBooting, received }) => (
            <tr key={zone}>
              <th scope="row">
                <button
                  type="button"
                  class="plain"
                  aria-pressed={zone === chosen}
                  title={zone === chosen ? 'Show nodes of all zones' : 'Show its nodes only'}
                  onClick={() => onZone(zone === chosen ? '' : zone)}
                >
                  {zone === '' ? 'no zone' : zone}
                </button>
              </th>
              <td class="figure">{countText(nodes)}</td>
              <td class="figure">{countText(vmsBooting)}</td>
              <td class="figure wide">
                <Bytes bytes={received.peers} />
              </td>
              <td class="figure wide">
                <Bytes bytes={received.origin} />
              </td>
              <td class="bar-column">
                <SourceBar bytes={received} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Filter(props: {
  overview: Overview;
  choice: NodeChoice;
  choose: (change: Partial<NodeChoice>) => void;
  count: number;
}): JSX.Element {
  const { overview, choice, choose, count } = props;
  const inState = (state: NodeState) =>
    overview.nodes.filter((node) => node.state === state).length;
  return (
    <form class="filter" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span class="label">Find</span>
        <input
          type="search"
          placeholder="name, rack or address"
          value={choice.text}
          onInput={({ currentTarget }) => choose({ text: currentTarget.value })}
        />
      </label>
      <label>
        <span class="label">State</span>
        <select
          value={choice.state}
          onChange={({ currentTarget }) => choose({ state: currentTarget.value as NodeState | '' })}
        >
          <option value="">all ({overview.nodes.length})</option>
          {NODE_STATES.map((state) => (
            <option key={state} value={state}>
              {state} ({inState(state)})
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="label">Zone</span>
        <select
          value={choice.zone}
          onChange={({ currentTarget }) => choose({ zone: currentTarget.value })}
        >
          <option value="">all</option>
          {overview.zones.map(({ zone }) => (
            <option key={zone} value={zone}>
              {zone}
            </option>
          ))}
        </select>
      </label>
      <output>{countOf(count, 'node')}</output>
    </form>
  );
}
