/** What processes have used, as the kernel counted it in /proc. Each throws when the process is gone. */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks of Linux: sysconf(_SC_CLK_TCK) on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of all threads: fields 14 and 15 of proc_pid_stat(5). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident set now. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS');
}

/** Largest resident set so far. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM');
}

export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function statusBytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)![1]) * 1024;
}
