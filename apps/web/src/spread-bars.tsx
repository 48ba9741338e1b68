/** How much of an image how many nodes have: a bar per tenth of the image, and one for all of it. */
import type { JSX } from 'preact';
import { countOf } from './units.ts';

/** A bar with one node in it is seen. */
const SHARE_MIN = 0.04;

export function SpreadBars({ spread }: { spread: readonly number[] }): JSX.Element {
  const most = Math.max(1, ...spread);
  const words = spread
    .map((nodes, tenth) => ({ nodes, tenth }))
    .filter(({ nodes }) => nodes > 0)
    .map(({ nodes, tenth }) => `${countOf(nodes, 'node')} ${rangeText(tenth)}`);
  return (
    <div class="spread">
      <div class="bars" role="img" aria-label={words.join('; ') || 'no nodes'}>
        {spread.map((nodes, tenth) => {
          const share = nodes === 0 ? 0 : Math.max(SHARE_MIN, nodes / most);
          return (
            <span
              key={rangeText(tenth)}
              class={tenth === spread.length - 1 ? 'all' : undefined}
              title={`${countOf(nodes, 'node')} ${rangeText(tenth)}`}
            >
              <i style={{ height: `${share * 100}%` }} />
            </span>
          );
        })}
      </div>
      <div class="scale" aria-hidden="true">
        <span>0 %</span>
        <span>50 %</span>
        <span>all</span>
      </div>
    </div>
  );
}

function rangeText(tenth: number): string {
  return tenth === 10 ? 'with all of it' : `with ${tenth * 10} to ${tenth * 10 + 10} %`;
}
