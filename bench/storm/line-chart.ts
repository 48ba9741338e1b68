/** Draws curves as SVG text: panels beside each other, each with axes, ticks and units, under one title and one legend. */

export interface Curve {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Axis {
  readonly label: string;
  /** A logarithmic axis shows what is above 0. */
  readonly isLog: boolean;
  readonly min: number;
  readonly max: number;
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly curves: readonly Curve[];
}

const PANEL = { width: 430, height: 300 };
/** Around the plotting area of a panel. */
const MARGIN = { left: 66, right: 18, top: 34, bottom: 48 };
const HEAD = 64;
const LEGEND_STEP = 120;
/** At least, between two ticks. */
const TICK_GAP = { x: 44, y: 22 };
const TEXT = '#24292f';
const GRID = '#d8dee4';

export function drawChart(title: string, panels: readonly Panel[]): string {
  const width = panels.length * PANEL.width;
  const height = HEAD + PANEL.height;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"`,
    `  width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="${TEXT}">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(MARGIN.left, 24, title, 'font-size="15" font-weight="bold"'),
    ...legend(panels[0].curves),
    ...panels.flatMap((panel, index) => drawPanel(panel, index * PANEL.width)),
    '</svg>',
    '',
  ].join('\n');
}

/** Values at which an axis has a tick: 1, 2 and 5 times powers of ten; as many as leave `gap` between two on `length`. */
export function ticksOf(axis: Axis, length: number, gap: number): number[] {
  return axis.isLog ? logTicks(axis, length, gap) : linearTicks(axis, length, gap);
}

function linearTicks({ min, max }: Axis, length: number, gap: number): number[] {
  const least = ((max - min) * gap) / length;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least)!;
  const first = Math.ceil(min / step);
  const count = Math.floor(max / step + 1e-9) - first + 1;
  // Steps are added up as whole numbers: 3 times 0.1 is not 0.3.
  return Array.from({ length: count }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}

function logTicks({ min, max }: Axis, length: number, gap: number): number[] {
  const perDecade = length / Math.log10(max / min);
  const multiples = perDecade * Math.log10(1.9) >= gap ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(gap / perDecade));
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power += 1) {
    if (power % every !== 0) continue;
    for (const each of multiples) ticks.push(Number((each * 10 ** power).toPrecision(12)));
  }
  return ticks.filter((each) => each >= min * 0.999 && each <= max * 1.001);
}

function drawPanel({ title, x, y, curves }: Panel, left: number): string[] {
  const area = {
    left: left + MARGIN.left,
    right: left + PANEL.width - MARGIN.right,
    top: HEAD + MARGIN.top,
    bottom: HEAD + PANEL.height - MARGIN.bottom,
  };
  const atX = (value: number): number => area.left + share(x, value) * (area.right - area.left);
  const atY = (value: number): number => area.bottom - share(y, value) * (area.bottom - area.top);
  const middleX = (area.left + area.right) / 2;
  const middleY = (area.top + area.bottom) / 2;
  const turned = `text-anchor="middle" transform="rotate(-90 ${left + 16} ${middleY})"`;
  return [
    text(middleX, area.top - 12, title, 'text-anchor="middle" font-weight="bold"'),
    ...ticksOf(x, area.right - area.left, TICK_GAP.x).flatMap((tick) => [
      line(atX(tick), area.top, atX(tick), area.bottom),
      text(atX(tick), area.bottom + 17, label(tick), 'text-anchor="middle"'),
    ]),
    ...ticksOf(y, area.bottom - area.top, TICK_GAP.y).flatMap((tick) => [
      line(area.left, atY(tick), area.right, atY(tick)),
      text(area.left - 7, atY(tick) + 4, label(tick), 'text-anchor="end"'),
    ]),
    frame(area.left, area.top, area.right, area.bottom),
    text(middleX, area.bottom + 38, x.label, 'text-anchor="middle"'),
    text(left + 16, middleY, y.label, turned),
    ...curves.map(({ color, points }) => {
      const path = points.map((point) => `${round(atX(point[0]))},${round(atY(point[1]))}`);
      return `<polyline points="${path.join(' ')}" fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round"/>`;
    }),
  ];
}

/** Where a value lies between the ends of its axis: 0 to 1, what is outside at the nearer end. */
function share({ isLog, min, max }: Axis, value: number): number {
  const at = isLog ? Math.log(value / min) / Math.log(max / min) : (value - min) / (max - min);
  return Math.min(1, Math.max(0, at));
}

function legend(curves: readonly Curve[]): string[] {
  return curves.flatMap(({ name, color }, index) => {
    const x = MARGIN.left + index * LEGEND_STEP;
    return [
      `<line x1="${x}" y1="46" x2="${x + 22}" y2="46" stroke="${color}" stroke-width="3"/>`,
      text(x + 28, 50, name, ''),
    ];
  });
}

function frame(left: number, top: number, right: number, bottom: number): string {
  const size = `width="${right - left}" height="${bottom - top}"`;
  return `<rect x="${left}" y="${top}" ${size} fill="none" stroke="${TEXT}"/>`;
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="${GRID}"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped}</text>`;
}

function label(value: number): string {
  return value >= 10_000 ? `${value / 1_000}k` : String(value);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
