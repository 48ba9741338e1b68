/** prefetch.json in the cache directory: what the tracker has ordered, so that pins hold over a restart without a tracker. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  PREFETCH_ID,
  PREFETCHES_MAX,
  PRIORITY_MAX,
  type PrefetchTask,
} from '@bootswarm/tracker-proto';

/** As it was told, with its end by our own clock. */
export interface KeptTask extends PrefetchTask {
  /** Milliseconds since 1970; undefined: never. */
  readonly expiresAtMs?: number;
}

const FILE = 'prefetch.json';

/** Nothing when there is nothing, or nothing that can be read: the tracker tells it again. */
export function readTasks(directory: string): KeptTask[] {
  try {
    const value: unknown = JSON.parse(readFileSync(join(directory, FILE), 'utf8'));
    return Array.isArray(value) ? value.slice(0, PREFETCHES_MAX).filter(isTask) : [];
  } catch {
    return [];
  }
}

export function writeTasks(directory: string, tasks: readonly KeptTask[]): void {
  const path = join(directory, FILE);
  writeFileSync(`${path}.new`, `${JSON.stringify(tasks)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function isTask(value: unknown): value is KeptTask {
  if (typeof value !== 'object' || value === null) return false;
  const { id, image, bootOrderOnly, priority, isPinned, expiresAtMs } = value as Record<
    string,
    unknown
  >;
  return (
    typeof id === 'string' &&
    PREFETCH_ID.test(id) &&
    typeof image === 'string' &&
    /^[0-9a-f]{40}$/.test(image) &&
    typeof bootOrderOnly === 'boolean' &&
    typeof isPinned === 'boolean' &&
    Number.isInteger(priority) &&
    (priority as number) <= PRIORITY_MAX &&
    (expiresAtMs === undefined || Number.isSafeInteger(expiresAtMs))
  );
}
