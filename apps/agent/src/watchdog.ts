/**
 * Ends this process when its event loop is stuck, so that whoever started it starts another: QEMU has no timeout, and a guest
 * would hang for ever. A thread of its own looks whether the loop has gone round; it has no loop that could be stuck as well.
 */
import { Worker } from 'node:worker_threads';

interface WatchData {
  /** Int32 at 0: counts how often the event loop went round. */
  readonly beats: SharedArrayBuffer;
  /** Between two looks. */
  readonly lookMs: number;
  /** Looks in a row without a beat that mean stuck. */
  readonly missedMax: number;
}

/**
 * Counted in looks, not by a clock: a process that stood still (SIGSTOP, a host that slept) has looked at most once meanwhile,
 * and its loop beats again before the tenth.
 */
const LOOKS = 10;

export interface Watchdog {
  close(): Promise<void>;
}

/** Aborts the process when the event loop of this thread has not gone round for some `seconds`. */
export function startWatchdog(seconds: number): Watchdog {
  const beats = new SharedArrayBuffer(4);
  const beat = new Int32Array(beats);
  const lookMs = (seconds * 1_000) / LOOKS;
  const workerData: WatchData = { beats, lookMs, missedMax: LOOKS };
  // From its text: a thread that had to load TypeScript would take 18 MiB more, and files that an upgrade may have replaced.
  const script = `(${watch})(require('node:worker_threads').workerData, require('node:fs'), process)`;
  const thread = new Worker(script, { eval: true, workerData, execArgv: [] });
  // Two beats for each look, so that one that comes late is none that is missed.
  const timer = setInterval(() => Atomics.add(beat, 0, 1), lookMs / 2);
  thread.unref();
  timer.unref();
  return {
    close: async () => {
      clearInterval(timer);
      await thread.terminate();
    },
  };
}

/** What the thread does. It runs as text, so it knows nothing but its arguments. */
function watch(
  { beats, lookMs, missedMax }: WatchData,
  files: { writeSync(fd: number, text: string): number },
  self: { readonly pid: number; kill(pid: number, signal: string): void },
): never {
  const beat = new Int32Array(beats);
  // Never notified: to wait on it is to sleep.
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let seen = -1, missed = 0; ; ) {
    Atomics.wait(never, 0, 0, lookMs);
    const now = Atomics.load(beat, 0);
    missed = now === seen ? missed + 1 : 0;
    seen = now;
    if (missed < missedMax) continue;
    const { pid } = self;
    const msg = `event loop stuck for ${(missed * lookMs) / 1_000} s: aborting`;
    // pino's line at level fatal, from a thread that cannot ask the main one's logger.
    const line = JSON.stringify({ level: 60, time: Date.now(), pid, name: 'watchdog', msg });
    files.writeSync(2, `${line}\n`);
    // process.abort() is not there for threads. Leaves a core where the host keeps them.
    self.kill(pid, 'SIGABRT');
  }
}
