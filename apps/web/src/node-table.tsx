/** Nodes as a table that can be put in order by every column; on a narrow screen the lesser columns stand below the name. */
import type { NodeOverview, Overview } from '@bootswarm/tracker';
import type { ComponentChildren, JSX } from 'preact';
import { Bytes } from './figures.tsx';
import type { NodeChoice, NodeOrder } from './node-choice.ts';
import { bytesText, countOf, countText } from './units.ts';

interface Column {
  readonly order: NodeOrder;
  readonly title: string;
  readonly isFigure: boolean;
  /** Has its place on wide screens only. */
  readonly isWide: boolean;
  cell(node: NodeOverview): ComponentChildren;
}

const COLUMNS: readonly Column[] = [
  { ...text('zone', 'Zone'), cell: ({ zone, rack }) => (rack === '' ? zone : `${zone} / ${rack}`) },
  {
    ...{ order: 'state', title: 'State', isFigure: false, isWide: false },
    cell: ({ state }) => <span class={`state ${state}`}>{state}</span>,
  },
  { ...figure('vms', 'VMs booting'), cell: vmsOf },
  { ...figure('images', 'Images'), cell: ({ images }) => countText(images) },
  { ...figure('cache', 'From cache'), cell: ({ read }) => <Bytes bytes={read.cache} /> },
  { ...figure('peers', 'From peers'), cell: ({ received }) => <Bytes bytes={received.peers} /> },
  { ...figure('origin', 'From origin'), cell: ({ received }) => <Bytes bytes={received.origin} /> },
  { ...figure('disk', 'Cache used'), cell: diskOf },
  {
    ...{ order: 'rate', title: 'Receives', isFigure: true, isWide: false },
    cell: ({ bytesPerSecond }) => <Bytes bytes={bytesPerSecond} perSecond />,
  },
];

/** Node, state and what it receives. */
const NARROW_COLUMNS = 3;

export function NodeTable(props: {
  nodes: readonly NodeOverview[];
  alarms: Overview['alarms'];
  choice: NodeChoice;
  choose: (change: Partial<NodeChoice>) => void;
}): JSX.Element {
  const { nodes, alarms, choice, choose } = props;
  return (
    <table class="nodes">
      <thead>
        <tr>
          <Heading {...{ choice, choose }} column={{ ...text('node', 'Node'), isWide: false }} />
          {COLUMNS.map((column) => (
            <Heading key={column.order} {...{ choice, choose, column }} />
          ))}
        </tr>
      </thead>
      <tbody>
        {nodes.map((node) => (
          <Row
            key={node.node}
            node={node}
            alarms={alarms.filter((each) => each.node === node.node)}
          />
        ))}
      </tbody>
    </table>
  );
}

function Row({ node, alarms }: { node: NodeOverview; alarms: Overview['alarms'] }): JSX.Element {
  return (
    <>
      <tr>
        <th scope="row">
          <span class="name">{node.node}</span>
          <Alarms alarms={alarms} />
        </th>
        {COLUMNS.map((column) => (
          <td key={column.order} class={classOf(column)}>
            {column.cell(node)}
          </td>
        ))}
      </tr>
      <tr class="narrow">
        <td colSpan={NARROW_COLUMNS}>{describe(node)}</td>
      </tr>
    </>
  );
}

function Heading(props: {
  column: Omit<Column, 'cell'>;
  choice: NodeChoice;
  choose: (change: Partial<NodeChoice>) => void;
}): JSX.Element {
  const { column, choice, choose } = props;
  const { order, title, isFigure } = column;
  const isChosen = choice.order === order;
  // Who asks for an order of figures wants the largest.
  const isDescending = isChosen ? !choice.isDescending : isFigure || order === 'state';
  const sort = choice.isDescending ? 'descending' : 'ascending';
  return (
    <th scope="col" class={classOf(column)} aria-sort={isChosen ? sort : undefined}>
      <button type="button" class="plain" onClick={() => choose({ order, isDescending })}>
        {title}
      </button>
    </th>
  );
}

function Alarms({ alarms }: { alarms: Overview['alarms'] }): JSX.Element | null {
  if (alarms.length === 0) return null;
  return (
    <a class="bad" href="#/alarms">
      {alarms.map(({ code }) => code.replaceAll('-', ' ')).join(', ')}
    </a>
  );
}

function describe(node: NodeOverview): string {
  const { zone, vmsBooting, vmsConnected, images, read, received } = node;
  const vms =
    vmsBooting > 0 ? `${countText(vmsBooting)} of ${countOf(vmsConnected, 'VM')} booting` : '';
  return [
    ...[zone, vms, countOf(images, 'image')],
    `cache ${bytesText(read.cache)}`,
    `peers ${bytesText(received.peers)}`,
    `origin ${bytesText(received.origin)}`,
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

function vmsOf({ vmsBooting, vmsConnected }: NodeOverview): string {
  return `${countText(vmsBooting)} of ${countText(vmsConnected)}`;
}

/** How much of what it may take. */
function diskOf({ cacheBytes, cacheBytesMax }: NodeOverview): ComponentChildren {
  const limit = cacheBytesMax === 0 ? 'the disk is its limit' : `limit ${bytesText(cacheBytesMax)}`;
  return (
    <span title={limit}>
      <Bytes bytes={cacheBytes} />
    </span>
  );
}

function text(order: NodeOrder, title: string): Omit<Column, 'cell'> {
  return { order, title, isFigure: false, isWide: true };
}

function figure(order: NodeOrder, title: string): Omit<Column, 'cell'> {
  return { order, title, isFigure: true, isWide: true };
}

function classOf({ isFigure, isWide }: Omit<Column, 'cell'>): string {
  return [...(isFigure ? ['figure'] : []), ...(isWide ? ['wide'] : [])].join(' ');
}
