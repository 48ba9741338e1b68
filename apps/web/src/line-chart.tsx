/** One chart over the last minutes (uPlot), with its legend: the newest values, or those under the cursor of whichever chart. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clockText } from './units.ts';

export interface ChartSeries {
  readonly label: string;
  /** A custom property of the style sheet. */
  readonly color: string;
  readonly isFilled?: boolean;
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  readonly title: string;
  readonly at: readonly number[];
  readonly series: readonly ChartSeries[];
  readonly height: number;
  /** The axis ends here at least, so that small figures do not look large. */
  readonly topMin: number;
  /** What the steps of the axis may be, ascending. */
  readonly steps: readonly number[];
  text(value: number): string;
}

/** All axes take the same room, so that a moment is at the same place in every chart. */
const AXIS_WIDTH = 72;
/** Between moments on the axis, on a wide and on a narrow screen. */
const [TICK_SPACE_WIDE, TICK_SPACE_NARROW, PLOT_WIDTH_NARROW] = [90, 44, 400];
const TICK_SPACE_Y = 34;
const SECONDS_SHOWN = 300;
const CURSORS = 'storm';

export function LineChart(props: ChartProps): JSX.Element {
  const { title, at, series, height, text } = props;
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const newestProps = useRef(props);
  newestProps.current = props;
  const [index, setIndex] = useState<number | null>(null);

  useEffect(() => {
    const host = place.current as HTMLDivElement;
    const made = new uPlot(
      optionsOf(newestProps, host.clientWidth, setIndex),
      dataOf(newestProps.current),
      host,
    );
    chart.current = made;
    const sizes = new ResizeObserver(() => {
      made.setSize({ width: host.clientWidth, height: newestProps.current.height });
    });
    sizes.observe(host);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const repaint = () => made.redraw(false);
    scheme.addEventListener('change', repaint);
    return () => {
      scheme.removeEventListener('change', repaint);
      sizes.disconnect();
      made.destroy();
    };
  }, []);

  useEffect(() => chart.current?.setData(dataOf(newestProps.current)), [at]);

  const shown = index !== null && index < at.length ? index : at.length - 1;
  const values = series.map(({ label, color, values: all }) => {
    const value = all[shown];
    return { label, color, text: value === null || value === undefined ? '–' : text(value) };
  });
  return (
    <figure>
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="legend">
          {values.map((each) => (
            <span key={each.label}>
              <i style={{ background: `var(${each.color})` }} />
              {each.label} <b>{each.text}</b>
            </span>
          ))}
          <time>{at.length === 0 ? '–' : clockText(at[shown] * 1_000)}</time>
        </span>
      </figcaption>
      <div
        ref={place}
        class="plot"
        role="img"
        aria-label={`${title}, five minutes by the second`}
        style={{ height: `${height}px` }}
      />
    </figure>
  );
}

type NewestProps = { readonly current: ChartProps };

function optionsOf(
  props: NewestProps,
  width: number,
  onCursor: (index: number | null) => void,
): uPlot.Options {
  const { height, series, topMin, steps } = props.current;
  const axis = {
    stroke: () => colorOf('--muted'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: () => colorOf('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    ...{ width, height, padding: [8, 8, 0, 0], legend: { show: false } },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      sync: { key: CURSORS, setSeries: false },
      points: { size: 7 },
    },
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? null)] },
    scales: {
      x: { time: true, range: (_, __, newest) => [newest - SECONDS_SHOWN + 1, newest] },
      y: { range: (_, __, most) => [0, Math.max(topMin, (most ?? 0) * 1.08)] },
    },
    axes: [
      {
        ...axis,
        space: (_, __, ___, ____, width) =>
          width < PLOT_WIDTH_NARROW ? TICK_SPACE_NARROW : TICK_SPACE_WIDE,
        size: 26,
        values: (_, moments) => moments.map((moment) => momentText(moment)),
      },
      {
        ...axis,
        ...{ size: AXIS_WIDTH, space: TICK_SPACE_Y, incrs: [...steps] },
        values: (_, values) => values.map((value) => props.current.text(value)),
      },
    ],
    series: [
      {},
      ...series.map(({ label, color, isFilled }) => ({
        ...{ label, width: 2, points: { show: false }, spanGaps: false },
        stroke: () => colorOf(color),
        ...(isFilled && { fill: () => `${colorOf(color)}2e` }),
      })),
    ],
  };
}

/** Full minutes without seconds. */
function momentText(moment: number): string {
  const text = clockText(moment * 1_000);
  return moment % 60 === 0 ? text.slice(0, 5) : text;
}

function dataOf({ at, series }: ChartProps): uPlot.AlignedData {
  return [at, ...series.map(({ values }) => values)] as unknown as uPlot.AlignedData;
}

/** As the style sheet has it now: `#rrggbb`. */
function colorOf(property: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(property).trim();
}
