/**
 * What a run costs the machine that plays it: whether the processor was the limit, and what the programs used per piece,
 * which is what packages/sim's costs are measured with.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds } from '../../../test/process-usage.ts';

/** CLK_TCK, which Linux has at 100 everywhere. */
const TICK_MS = 10;
const SAMPLE_MS = 500;

interface CpuTicks {
  readonly idle: number;
  readonly total: number;
}

export interface LabLoadReport {
  /** Share of the processors that was idle over the whole time. */
  readonly cpuIdle: number;
  /** In the busiest half second. */
  readonly cpuIdleMin: number;
  readonly agentCpuSeconds: number;
  /** How long agents that could run waited for a processor: what the machine adds to the network's latency, over all of them. */
  readonly agentCpuWaitSeconds: number;
  readonly storeCpuSeconds: number;
  readonly playerCpuSeconds: number;
  /** Used by nobody we started, and by the kernel's network outside of their time. */
  readonly otherCpuSeconds: number;
}

export class LabLoad {
  readonly #agentPids: readonly number[];
  readonly #storePids: readonly number[];
  readonly #start = cpuTicks();
  readonly #agentsBefore: number;
  readonly #waitBefore: number;
  readonly #storeBefore: number;
  readonly #playersBefore = process.cpuUsage();
  readonly #sampling = new AbortController();
  #idleMin = 1;

  constructor(agentPids: readonly number[], storePids: readonly number[]) {
    this.#agentPids = agentPids;
    this.#storePids = storePids;
    this.#agentsBefore = cpuSecondsOf(agentPids);
    this.#waitBefore = cpuWaitMsOf(agentPids);
    this.#storeBefore = cpuSecondsOf(storePids);
    void this.#sample();
  }

  stop(): LabLoadReport {
    this.#sampling.abort();
    const end = cpuTicks();
    const { user, system } = process.cpuUsage(this.#playersBefore);
    const agentCpuSeconds = cpuSecondsOf(this.#agentPids) - this.#agentsBefore;
    const storeCpuSeconds = cpuSecondsOf(this.#storePids) - this.#storeBefore;
    const playerCpuSeconds = (user + system) / 1e6;
    const ours = agentCpuSeconds + storeCpuSeconds + playerCpuSeconds;
    const cpuIdle = idleShare(this.#start, end);
    const busy = ((end.total - this.#start.total) * (1 - cpuIdle) * TICK_MS) / 1_000;
    return {
      cpuIdle,
      cpuIdleMin: Math.min(cpuIdle, this.#idleMin),
      agentCpuSeconds,
      agentCpuWaitSeconds: (cpuWaitMsOf(this.#agentPids) - this.#waitBefore) / 1_000,
      storeCpuSeconds,
      playerCpuSeconds,
      otherCpuSeconds: Math.max(0, busy - ours),
    };
  }

  async #sample(): Promise<void> {
    const { signal } = this.#sampling;
    for (let before = cpuTicks(); !signal.aborted; ) {
      await delay(SAMPLE_MS, undefined, { signal }).catch(() => {});
      const now = cpuTicks();
      if (!signal.aborted) this.#idleMin = Math.min(this.#idleMin, idleShare(before, now));
      before = now;
    }
  }
}

function idleShare(from: CpuTicks, to: CpuTicks): number {
  return to.total === from.total ? 1 : (to.idle - from.idle) / (to.total - from.total);
}

/** proc_stat(5): user nice system idle iowait irq softirq steal; waiting for a disk is idle too. */
function cpuTicks(): CpuTicks {
  const [line] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  return { idle: ticks[3] + ticks[4], total: ticks.reduce((sum, each) => sum + each, 0) };
}

function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

/** Of their main threads, from /proc/PID/schedstat: nanoseconds run, nanoseconds ready and waiting, turns. */
function cpuWaitMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    return sum + Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  }, 0);
}

/** Segments that TCP sent again, in the network namespace of a process. */
export function retransmittedSegments(pid: number): number {
  const lines = readFileSync(`/proc/${pid}/net/snmp`, 'utf8').split('\n');
  const [names, values] = lines
    .filter((line) => line.startsWith('Tcp:'))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('RetransSegs')]);
}
