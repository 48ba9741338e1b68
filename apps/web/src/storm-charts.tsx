/** The three charts of a storm, second by second: VMs, bytes by source, and the origin's part. */
import type { JSX } from 'preact';
import { LineChart } from './line-chart.tsx';
import type { HistoryColumns } from './sample-history.ts';
import { countText, percentText, rateText } from './units.ts';

/** 1, 2, 5, 10, … */
const COUNTS = [1, 2, 5]
  .flatMap((first) => powers(10, 6).map((power) => first * power))
  .sort(ascending);
/** Powers of two from 1 KiB: what divides a unit without a remainder. */
const BYTES = powers(2, 44).filter((bytes) => bytes >= 1_024);
const PERCENTS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 25, 50];

const VMS_TOP = 4;
const BYTES_TOP = 1024 * 1024;
const PERCENT_TOP = 1;

export function StormCharts({ history }: { history: HistoryColumns }): JSX.Element {
  const { at, vmsBooting, cache, peers, origin, originPercent } = history;
  return (
    <section class="card charts" aria-label="The last five minutes">
      <LineChart
        {...{ title: 'VMs booting', at, height: 130, topMin: VMS_TOP, steps: COUNTS }}
        text={countText}
        series={[{ label: 'VMs', color: '--vms', isFilled: true, values: vmsBooting }]}
      />
      <LineChart
        {...{ title: 'Bytes per second', at, height: 220, topMin: BYTES_TOP, steps: BYTES }}
        text={rateText}
        series={[
          { label: 'cache', color: '--cache', values: cache },
          { label: 'peers', color: '--peers', values: peers },
          { label: 'origin', color: '--origin', values: origin },
        ]}
      />
      <LineChart
        {...{ title: 'Origin ratio', at, height: 130, topMin: PERCENT_TOP, steps: PERCENTS }}
        text={(percent) => percentText(percent / 100)}
        series={[
          {
            label: 'of what nodes receive',
            color: '--origin',
            isFilled: true,
            values: originPercent,
          },
        ]}
      />
    </section>
  );
}

function powers(base: number, count: number): number[] {
  return Array.from({ length: count }, (_, exponent) => base ** exponent);
}

function ascending(a: number, b: number): number {
  return a - b;
}
