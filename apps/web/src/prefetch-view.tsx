/** Prefetch orders: which image is to be where, and how far each node has come. */
import type { Overview } from '@bootswarm/tracker';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Empty, Meter } from './figures.tsx';
import { Pager, pageOf } from './pager.tsx';
import { listPrefetches, type Prefetch, type PrefetchNode } from './prefetch-api.ts';
import { byConcern, prefetchProgress, scopeText } from './prefetch-progress.ts';
import { clockText, countOf, countText, dayText, percentText } from './units.ts';

const POLL_MS = 2_000;
const NODES_PER_PAGE = 20;

export function PrefetchView(props: { overview: Overview; isLive: boolean }): JSX.Element {
  const { orders, trouble } = usePrefetchList(props.isLive);
  return (
    <div class="view">
      <div class="title">
        <h1>Prefetch orders</h1>
        <p>{orders === undefined ? 'asking the tracker …' : countOf(orders.length, 'order')}</p>
      </div>
      {trouble !== undefined && (
        <p class="card bad" role="alert">
          The list could not be read: {trouble}
        </p>
      )}
      {orders?.length === 0 && (
        <Empty title="There is no prefetch order">
          <p>Have nodes fetch an image before anybody boots it:</p>
          <pre>bootswarm prefetch {props.overview.images[0]?.name ?? 'IMAGE'} --percent 20</pre>
        </Empty>
      )}
      {orders?.toSorted(byConcern).map((order) => (
        <Order key={order.id} order={order} title={titleOf(order, props.overview)} />
      ))}
    </div>
  );
}

/** What people call the image; withdrawn, it has no name. */
function titleOf({ image, imageName }: Prefetch, { images }: Overview): string {
  return images.find(({ id }) => id === image)?.title ?? (imageName || image.slice(0, 12));
}

function Order({ order, title }: { order: Prefetch; title: string }): JSX.Element {
  const { id, state, isLate, nodes } = order;
  const progress = prefetchProgress(nodes);
  return (
    <article class="card order">
      <header>
        <h2>{title}</h2>
        <span class={`state ${isLate ? 'alarm' : state}`}>{isLate ? 'late' : state}</span>
        <code>{id}</code>
      </header>
      <p class="note">{scopeText(order)}</p>
      <div class="progress">
        <Meter
          share={progress.share}
          label={`${percentText(progress.share)} fetched`}
          tone={progress.share === 1 ? 'good' : undefined}
        />
        <strong>{percentText(progress.share)}</strong>
      </div>
      <p class="note">
        {nodes.length === 0
          ? 'no connected node is meant by it'
          : `${countText(progress.done)} of ${countOf(nodes.length, 'node')} done`}
        {progress.fetching > 0 && `, ${countText(progress.fetching)} fetching`}
        {progress.waiting > 0 && `, ${countText(progress.waiting)} waiting`}
        {progress.failed > 0 && (
          <>
            , <span class="bad">{countText(progress.failed)} failed</span>
          </>
        )}
        {' · '}
        {timesText(order)}
      </p>
      {nodes.length > 0 && <OrderNodes nodes={nodes} />}
    </article>
  );
}

function OrderNodes({ nodes }: { nodes: readonly PrefetchNode[] }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const [page, setPage] = useState(0);
  const shown = pageOf(isOpen ? nodes.toSorted(byNeed) : [], page, NODES_PER_PAGE);
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Progress per node</summary>
      {isOpen && (
        <>
          <table>
            <thead>
              <tr>
                <th scope="col">Node</th>
                <th scope="col">State</th>
                <th scope="col" class="figure">
                  Pieces
                </th>
                <th scope="col" class="bar-column wide">
                  Progress
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.items.map((each) => (
                <OrderNode key={each.node} of={each} />
              ))}
            </tbody>
          </table>
          <Pager of={shown} what="nodes of the order" onPage={setPage} />
        </>
      )}
    </details>
  );
}

function OrderNode({ of }: { of: PrefetchNode }): JSX.Element {
  const { node, state, piecesHad, piecesWanted, code } = of;
  const share = piecesWanted === 0 ? 0 : piecesHad / piecesWanted;
  return (
    <tr>
      <th scope="row">{node}</th>
      <td>
        <span class={`state ${state === 'failed' ? 'alarm' : state}`}>
          {state}
          {code !== '' && `: ${code}`}
        </span>
      </td>
      <td class="figure">
        {piecesWanted === 0 ? '–' : `${countText(piecesHad)} / ${countText(piecesWanted)}`}
      </td>
      <td class="bar-column wide">
        <Meter
          share={share}
          label={percentText(share)}
          tone={state === 'done' ? 'good' : undefined}
        />
      </td>
    </tr>
  );
}

const NEED: readonly PrefetchNode['state'][] = ['failed', 'fetching', 'waiting', 'done'];

function byNeed(a: PrefetchNode, b: PrefetchNode): number {
  return NEED.indexOf(a.state) - NEED.indexOf(b.state);
}

function timesText({ createdAt, deadlineAt, expiresAt }: Prefetch): string {
  return [
    `given ${momentText(createdAt)}`,
    ...(deadlineAt === undefined ? [] : [`due ${momentText(deadlineAt)}`]),
    ...(expiresAt === undefined ? [] : [`ends ${momentText(expiresAt)}`]),
  ].join(', ');
}

function momentText(time: string): string {
  const ms = Date.parse(time);
  return `${dayText(ms)}, ${clockText(ms)}`;
}

/** Asked again and again while the view is shown and the tracker is there. */
function usePrefetchList(isLive: boolean): { orders?: readonly Prefetch[]; trouble?: string } {
  const [state, setState] = useState<{ orders?: readonly Prefetch[]; trouble?: string }>({});
  useEffect(() => {
    if (!isLive) return;
    let timer: number | undefined;
    let isOver = false;
    const ask = async () => {
      // Nobody looks at a page in the background.
      if (!document.hidden) {
        const answer = await listPrefetches().then(
          (orders) => ({ orders }),
          (error: Error) => ({ trouble: error.message }),
        );
        if (isOver) return;
        setState((before) => ({ ...before, trouble: undefined, ...answer }));
      }
      timer = window.setTimeout(() => void ask(), POLL_MS);
    };
    void ask();
    return () => {
      isOver = true;
      window.clearTimeout(timer);
    };
  }, [isLive]);
  return state;
}
