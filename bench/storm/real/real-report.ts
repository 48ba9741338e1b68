/** What is printed of a real storm besides what every storm has. */
import type { RealStormResult } from './real-result.ts';

/** A real storm, and how long it took with all that is around it. */
export interface MeasuredRealStorm extends RealStormResult {
  readonly wallSeconds: number;
}

export function realRows({ real, wallSeconds }: MeasuredRealStorm): [string, string][] {
  return [
    ['received for nothing', `${(real.bytesWasted / 1024 / 1024).toFixed(1)} MiB`],
    ['frames of the origin', `${real.originWireRatio.toFixed(3)} x the bytes of its pieces`],
    ['packets dropped', `${real.packetsDropped}; sent again ${real.segmentsRetransmitted}`],
    [
      'processors idle',
      `${percent(real.cpuIdle)}, in the busiest half second ${percent(real.cpuIdleMin)}`,
    ],
    [
      'processor time',
      `agents ${seconds(real.agentCpuSeconds)} (waited ${seconds(real.agentCpuWaitSeconds)}), tracker and origin ` +
        `${seconds(real.storeCpuSeconds)}, players ${seconds(real.playerCpuSeconds)}, ` +
        `others ${seconds(real.otherCpuSeconds)}`,
    ],
    ['played', `in ${seconds(wallSeconds)}`],
  ];
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function seconds(value: number): string {
  return `${value.toFixed(1)} s`;
}
