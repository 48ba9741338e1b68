/** Commands that fail as they should: for a person to read, and without a trace in tracker or agent. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageSummary } from '@bootswarm/tracker';
import { expect } from 'vitest';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import { CMD, request } from '../../packages/nbd-proto/test/wire.ts';
import { BOOTSWARM, type Cluster, type CommandResult, run, type TestAgent } from '../cluster.ts';

const SIMPLE_REPLY_LENGTH = 16;
/** The exit code of a daemon that systemd is to start again a little later. */
const NOT_STARTED = 3;

/** What the catalogue and the tracker's disk hold. */
export async function catalogueOf(cluster: Cluster) {
  const { images } = await cluster.trackerGet<{ images: ImageSummary[] }>('/v1/images');
  return {
    images,
    onDisk: readdirSync(join(cluster.dataDir, 'images')).sort(),
    staged: readdirSync(join(cluster.dataDir, 'staging')),
  };
}

/** The first bytes of an attached image, as a guest reads them now. */
export async function readHead(agent: TestAgent, image: string, length: number): Promise<Buffer> {
  const client = await RawClient.open(join(agent.runDir, 'nbd.sock'), image);
  client.send(request(CMD.read, 0, length));
  const reply = await client.receive(SIMPLE_REPLY_LENGTH + length);
  client.socket.destroy();
  expect(reply.readUInt32BE(4), 'NBD error').toBe(0);
  return reply.subarray(SIMPLE_REPLY_LENGTH);
}

/** Runs a command line that must fail: exit code 1, of a daemon 3, one message that matches, and a next step. */
export async function expectRefusal(
  args: readonly string[],
  message: RegExp,
  env?: Record<string, string>,
): Promise<CommandResult> {
  const result = await run(process.execPath, [BOOTSWARM, ...args], { env, timeoutMs: 60_000 });
  expect(result).toMatchObject({ code: startsDaemon(args) ? NOT_STARTED : 1, stdout: '' });
  expect(result.stderr).toMatch(message);
  const lines = result.stderr.trimEnd().split('\n');
  // Logs of a daemon that does not come up may precede it; a stack trace may not.
  const told = lines.filter((line) => !line.startsWith('{'));
  expect(told.filter((line) => line.startsWith('bootswarm: '))).toHaveLength(1);
  expect(told.at(-1)).toMatch(/^ {2}→ \S.{8}/);
  expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
  return result;
}

function startsDaemon([command, next]: readonly string[]): boolean {
  return ['tracker', 'agent'].includes(command) && next?.startsWith('-');
}

/** Whether a process of this id still runs. */
export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
