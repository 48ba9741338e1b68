import { describe, expect, it } from 'vitest';
import { drawChart, type Panel, ticksOf } from '../../bench/storm/line-chart.ts';
import { drawStorms } from '../../bench/storm/storm-chart.ts';

const panel: Panel = {
  title: 'a < b',
  x: { label: 'seconds', isLog: true, min: 0.1, max: 100 },
  y: { label: '%', isLog: false, min: 0, max: 100 },
  curves: [
    {
      name: 'one',
      color: '#000000',
      points: [
        [0.01, -5],
        [1, 50],
        [1_000, 500],
      ],
    },
  ],
};

function pointsOf(svg: string): number[][][] {
  return [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points]) =>
    points
      .split(' ')
      .filter((each) => each !== '')
      .map((each) => each.split(',').map(Number)),
  );
}

/** Of the plotting areas: left, top, right, bottom. */
function areasOf(svg: string): number[][] {
  const areas = svg.matchAll(
    /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="none"/g,
  );
  return [...areas].map(([, ...numbers]) => {
    const [x, y, width, height] = numbers.map(Number);
    return [x, y, x + width, y + height];
  });
}

describe('chart', () => {
  it('puts a logarithmic middle in the middle, and keeps what is outside at the edge', () => {
    const svg = drawChart('t', [panel]);
    const [[first, middle, last]] = pointsOf(svg);
    const [[left, top, right, bottom]] = areasOf(svg);
    expect(first).toEqual([left, bottom]);
    expect(middle[0]).toBeCloseTo(left + (right - left) / 3, 0);
    expect(middle[1]).toBeCloseTo((top + bottom) / 2, 0);
    expect(last).toEqual([right, top]);
  });

  it('escapes what it writes', () => {
    expect(drawChart('t', [panel])).toContain('>a &lt; b</text>');
  });

  it.each([
    [{ isLog: false, min: 0, max: 5.4 }, [0, 1, 2, 3, 4, 5]],
    [{ isLog: false, min: 0, max: 100 }, [0, 20, 40, 60, 80, 100]],
    [{ isLog: false, min: 0, max: 0.3 }, [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]],
    [{ isLog: true, min: 0.1, max: 120 }, [0.1, 1, 10, 100]],
    [{ isLog: true, min: 4, max: 60 }, [5, 10, 20, 50]],
  ])('has round ticks that leave room for their labels: %j', (axis, ticks) => {
    expect(ticksOf({ label: '', ...axis }, 346, 44)).toEqual(ticks);
  });
});

describe('picture of a storm', () => {
  const storms = [
    {
      policy: 'bootswarm',
      curves: {
        vmReadySeconds: [4, 5],
        originBytes: [
          [0, 0],
          [5, 5e7],
        ],
      },
    },
    {
      policy: 'copy',
      curves: {
        vmReadySeconds: [90, 99],
        originBytes: [
          [1, 2e6],
          [99, 1e10],
        ],
      },
    },
  ] as const;

  it('draws every policy in both panels, inside their areas, in its colour', () => {
    const svg = drawStorms('a storm', storms);
    const curves = pointsOf(svg);
    expect(curves).toHaveLength(4);
    for (const [index, points] of curves.entries()) {
      const [left, top, right, bottom] = areasOf(svg)[index >> 1];
      for (const [x, y] of points) {
        expect(x).toBeGreaterThanOrEqual(left);
        expect(x).toBeLessThanOrEqual(right);
        expect(y).toBeGreaterThanOrEqual(top);
        expect(y).toBeLessThanOrEqual(bottom);
      }
    }
    const colors = [...svg.matchAll(/<polyline .*stroke="(#\w+)"/g)].map(([, color]) => color);
    expect(new Set(colors).size).toBe(2);
    for (const said of ['% of all VMs', 'MiB', 'seconds after', '>copy<']) {
      expect(svg).toContain(said);
    }
  });

  it('ends a curve of VMs at 100 %', () => {
    const [ready] = pointsOf(drawStorms('a storm', storms));
    expect(ready.at(-1)![1]).toBe(areasOf(drawStorms('a storm', storms))[0][1]);
  });

  it('draws an empty frame of a storm in which nobody got ready', () => {
    const curves = { vmReadySeconds: [], originBytes: [] } as const;
    expect(drawStorms('none', [{ policy: 'tree', curves }])).not.toContain('NaN');
  });
});
