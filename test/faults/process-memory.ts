/** How much memory a process has held at most, as the kernel counted. */
import { readFileSync } from 'node:fs';

/** VmHWM, in bytes. Throws when the process is gone. */
export function peakMemoryBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}
