/** The two pictures of a storm, policy beside policy: when each VM was ready, and what the origin had sent by then. */
import type { PolicyName, StormCurves } from '@bootswarm/sim';
import { type Curve, drawChart, type Panel } from './line-chart.ts';

/** Okabe and Ito's, which the colour-blind can tell apart. */
const COLORS: Readonly<Record<PolicyName, string>> = {
  bootswarm: '#0072b2',
  central: '#d55e00',
  copy: '#cc79a7',
  tree: '#009e73',
  bittorrent: '#e69f00',
};
const MIB = 1024 * 1024;
/** Where the axis of what the origin sent begins: powers know no 0. */
const LEAST_MIB = 1;
/** Beyond this, last against first, a linear axis would leave one of them no room. */
const LOG_FROM = 5;

export interface ChartedStorm {
  readonly policy: PolicyName;
  readonly curves: StormCurves;
}

export function drawStorms(title: string, storms: readonly ChartedStorm[]): string {
  return drawChart(title, [readyPanel(storms), originPanel(storms)]);
}

function readyPanel(storms: readonly ChartedStorm[]): Panel {
  const ready = storms.flatMap(({ curves }) => curves.vmReadySeconds);
  const last = ready.reduce((max, each) => Math.max(max, each), 0) || 1;
  const first = ready.reduce((min, each) => Math.min(min, each), last);
  const isLog = last / first > LOG_FROM;
  return {
    title: 'VMs that are ready',
    x: {
      label: 'seconds after the first arrived',
      isLog,
      min: isLog ? first * 0.8 : 0,
      max: last * 1.05,
    },
    y: { label: '% of all VMs', isLog: false, min: 0, max: 100 },
    curves: storms.map(({ policy, curves }) => curve(policy, shares(curves.vmReadySeconds))),
  };
}

/** Steps: the share is what it was until the next one is ready. */
function shares(seconds: readonly number[]): [number, number][] {
  const points: [number, number][] = [];
  for (const [index, at] of seconds.entries()) {
    points.push([at, (100 * index) / seconds.length], [at, (100 * (index + 1)) / seconds.length]);
  }
  return points;
}

function originPanel(storms: readonly ChartedStorm[]): Panel {
  const sent = storms.map(({ policy, curves }) => {
    const points = curves.originBytes.map(([at, bytes]) => [at, bytes / MIB] as const);
    // What it said before the first guest came is not of the storm, and an axis of powers knows no 0.
    return curve(
      policy,
      points.filter(([at, mib]) => at > 0 && mib > 0),
    );
  });
  const all = sent.flatMap(({ points }) => points);
  const last = all.reduce((max, [at]) => Math.max(max, at), 0) || 1;
  const most = all.reduce((max, [, mib]) => Math.max(max, mib), 1);
  const ends = sent.map(({ points }) => points.at(-1)?.[0] ?? last);
  const isLog = last / Math.min(...ends) > LOG_FROM;
  return {
    title: 'sent by the origin',
    x: {
      label: 'seconds after the first arrived',
      isLog,
      min: isLog ? 0.1 : 0,
      max: last * 1.05,
    },
    y: { label: 'MiB', isLog: true, min: LEAST_MIB, max: most * 1.5 },
    curves: sent,
  };
}

function curve(policy: PolicyName, points: Curve['points']): Curve {
  return { name: policy, color: COLORS[policy], points };
}
