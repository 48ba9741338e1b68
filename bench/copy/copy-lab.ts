/**
 * What main.ts measures, inside the lab: nodes that all begin to copy at once, until the last of them has it safely on its
 * disk.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { BOOTSWARM, until } from '../../test/cluster.ts';
import { type LabAgent, LabCloud } from '../lab/lab-cloud.ts';
import type { LabHost } from '../lab/network-lab.ts';
import { writeRandomFile } from '../random-file.ts';

export interface CopyLabOptions {
  readonly mib: number;
  readonly mbit: number;
  readonly nodes: readonly number[];
  readonly turns: number;
}

export interface Turn {
  readonly nodes: number;
  /** From the first start to the last end. */
  readonly copySeconds: number;
  readonly curlSeconds: number;
  /** Bytes that left the origin, in images. */
  readonly originCopies: number;
}

const HTTP_PORT = 8080;
const HTTP_READY_MS = 10_000;
/** A cache that somebody copies from is let go some seconds after they are done. */
const EVICT_MS = 30_000;

export async function copyInLab(directory: string, options: CopyLabOptions): Promise<Turn[]> {
  const { mib, mbit } = options;
  const nodes = Math.max(...options.nodes);
  const cloud = await LabCloud.start({ directory, nodes, mbit, originMbit: mbit });
  const path = join(directory, 'image.raw');
  writeRandomFile(path, mib);
  const { id } = await cloud.publish(path);
  const store = cloud.tracker.host;
  const served = `http://${store.address}:${HTTP_PORT}/image.raw`;
  await serveDirectory(store, directory, served);
  const turns: Turn[] = [];
  let sentBefore = 0;
  for (let turn = 0; turn < options.turns; turn += 1) {
    for (const count of options.nodes) {
      const agents = cloud.agents.slice(0, count);
      const copied = await timedAll(agents, (agent) => copyCommand(agent, directory, id));
      const sent = await leftOrigin(cloud, id, mib);
      const originCopies = sent - sentBefore;
      sentBefore = sent;
      await forget(agents, directory, id);
      const curlSeconds = await timedAll(agents, ({ host }) =>
        curlCommand(host, directory, served),
      );
      removeCopies(agents, directory);
      turns.push({ nodes: count, copySeconds: copied, curlSeconds, originCopies });
      const told = [
        `${count} nodes: copy ${copied.toFixed(1)} s`,
        `origin sent ${originCopies.toFixed(2)} images`,
        `curl ${curlSeconds.toFixed(1)} s`,
      ];
      process.stderr.write(`${told.join(', ')}\n`);
    }
  }
  return turns;
}

function copyCommand(agent: LabAgent, directory: string, image: string): string[] {
  const target = copyOf(agent.host, directory);
  const run = join(directory, `${agent.host.name}-run`);
  return [process.execPath, BOOTSWARM, 'copy', `swarm:${image}`, target, '--json', '--run', run];
}

/** Flushed to the disk as a copy is. */
function curlCommand(host: LabHost, directory: string, url: string): string[] {
  const target = copyOf(host, directory);
  return ['sh', '-c', `curl -sf -o '${target}' '${url}' && sync '${target}'`];
}

function copyOf(host: LabHost, directory: string): string {
  return join(directory, `${host.name}-copy.raw`);
}

async function timedAll(
  agents: readonly LabAgent[],
  commandOf: (agent: LabAgent) => string[],
): Promise<number> {
  const startedAt = performance.now();
  await Promise.all(agents.map((agent) => runOn(agent.host, commandOf(agent))));
  return (performance.now() - startedAt) / 1_000;
}

async function runOn(host: LabHost, command: readonly string[]): Promise<void> {
  const [program, ...args] = [...host.prefix, ...command];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`);
}

async function serveDirectory(store: LabHost, directory: string, url: string): Promise<void> {
  const server = ['/usr/bin/python3', '-m', 'http.server', String(HTTP_PORT)];
  const [program, ...args] = [...store.prefix, ...server, '--directory', directory];
  spawn(program, args, { stdio: 'ignore' });
  const [curl, ...curlArgs] = [...store.prefix, 'curl', '-sfI', url];
  await until(
    'the HTTP server answers',
    async () => {
      const [code] = (await once(spawn(curl, curlArgs, { stdio: 'ignore' }), 'exit')) as [number];
      return code === 0;
    },
    HTTP_READY_MS,
  );
}

/** In images, since it was published; known while somebody is a member. */
async function leftOrigin(cloud: LabCloud, image: string, mib: number): Promise<number> {
  const bytesSent = (await cloud.swarm(image))?.origin.bytesSent ?? 0;
  return bytesSent / (mib * 1024 * 1024);
}

async function forget(
  agents: readonly LabAgent[],
  directory: string,
  image: string,
): Promise<void> {
  removeCopies(agents, directory);
  for (const agent of agents) {
    const isGone = () =>
      agent.evict(image).then(
        () => true,
        () => false,
      );
    await until(`${agent.host.name} lets its cache go`, isGone, EVICT_MS);
  }
}

function removeCopies(agents: readonly LabAgent[], directory: string): void {
  for (const { host } of agents) rmSync(copyOf(host, directory), { force: true });
}
