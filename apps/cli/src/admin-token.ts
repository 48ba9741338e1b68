/** Finds the token that lets a command change the tracker's catalogue: BOOTSWARM_TOKEN, or the tracker's own file. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { TrackerHealth } from '@bootswarm/tracker';
import { isThisHost } from './daemons.ts';
import type { HttpClient } from './http-client.ts';
import type { Terminal } from './terminal.ts';

/** What was given, for commands that go on without: images that Glance keeps private are shown to an administrator. */
export function givenToken(env: Terminal['env']): string | undefined {
  return env.BOOTSWARM_TOKEN?.trim() || undefined;
}

/** Throws OperatorError when there is neither. A file is read only for a tracker on this host. */
export async function adminToken(tracker: HttpClient, env: Terminal['env']): Promise<string> {
  const given = givenToken(env);
  if (given !== undefined) return given;
  const { endpoint } = tracker;
  const { dataDir } = await tracker.get<TrackerHealth>('/healthz');
  const path = join(dataDir, 'admin.token');
  if (endpoint.type === 'tcp' && !isThisHost(endpoint.url)) {
    throw new OperatorError(
      'no-admin-token',
      `the tracker at ${endpoint.url.origin} is on another host and BOOTSWARM_TOKEN is not set`,
      `set BOOTSWARM_TOKEN to what ${path} on that host holds`,
    );
  }
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    throw new OperatorError(
      'no-admin-token',
      `cannot read the tracker's admin token: ${messageOf(error)}`,
      'set BOOTSWARM_TOKEN, or run this as the user the tracker runs as',
      { cause: error },
    );
  }
}
