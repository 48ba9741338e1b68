/** A real tracker and real agents as child processes in one temporary directory, for tests that cross packages. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { AgentStatus, ExportInfo, TouchedPieces, VmInfo } from '@bootswarm/agent';
import { Bitfield, LEAN_NODE_ENV, LEAN_NODE_FLAGS } from '@bootswarm/stdx';
import type { SwarmSummary } from '@bootswarm/tracker';

export const BOOTSWARM = new URL('../apps/cli/src/main.ts', import.meta.url).pathname;
const READY_MS = 30_000;
const POLL_MS = 50;

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; never rejects because of its exit code. */
export async function run(
  program: string,
  args: readonly string[],
  options: { timeoutMs?: number; env?: Record<string, string> } = {},
): Promise<CommandResult> {
  const { timeoutMs = 60_000, env } = options;
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, {
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, ...env },
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (typeof code !== 'number') throw error;
    return { code, stdout: stdout ?? '', stderr: stderr ?? '' };
  }
}

export function bootswarm(...args: string[]): Promise<CommandResult> {
  // The longest is a demo that makes its image first.
  return run(process.execPath, [BOOTSWARM, ...args], { timeoutMs: 200_000 });
}

/** Waits for an event in another process, by asking; fails after `timeoutMs`. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = READY_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Without a holder too, an agent's Node is started as a holder or systemd would; other daemons' as it is. */
export function nodeFor([command]: readonly string[]) {
  const isLean = command === 'agent';
  return {
    nodeFlags: isLean ? LEAN_NODE_FLAGS : [],
    nodeEnv: isLean ? LEAN_NODE_ENV : {},
  };
}

class Daemon {
  readonly logPath: string;
  /** After `bootswarm`. */
  readonly args: readonly string[];
  readonly #readyLine: RegExp;
  /** Beside our own environment. */
  env: Readonly<Record<string, string>> = {};
  #process: ChildProcess | undefined;

  constructor(args: readonly string[], logPath: string, readyLine: RegExp) {
    this.args = args;
    this.logPath = logPath;
    this.#readyLine = readyLine;
  }

  get pid(): number {
    return this.#process!.pid!;
  }

  get isRunning(): boolean {
    const child = this.#process;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  get log(): string {
    return readFileSync(this.logPath, 'utf8');
  }

  /** Resolves with the match of its ready line. */
  async start(): Promise<RegExpExecArray> {
    const seen = existsSync(this.logPath) ? this.log.length : 0;
    const log = openSync(this.logPath, 'a');
    const { nodeFlags, nodeEnv } = nodeFor(this.args);
    this.#process = spawn(process.execPath, [...nodeFlags, BOOTSWARM, ...this.args], {
      stdio: ['ignore', log, log],
      env: { ...nodeEnv, ...process.env, ...this.env },
    });
    const child = this.#process;
    return until(`${this.args[0]} is ready`, () => {
      if (child.exitCode !== null) throw new Error(`${this.args[0]} ended:\n${this.log}`);
      return this.#readyLine.exec(this.log.slice(seen)) ?? undefined;
    });
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    if (!this.isRunning) return;
    const child = this.#process!;
    child.kill(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await once(child, 'exit');
  }

  /** Asks a running process to end; resolves with its exit code. */
  async end(signal: 'SIGINT' | 'SIGTERM'): Promise<number> {
    const exited = once(this.#process!, 'exit');
    this.#process!.kill(signal);
    return (await exited)[0] as number;
  }
}

export class TestAgent extends Daemon {
  readonly node: string;
  readonly cacheDir: string;
  readonly runDir: string;

  constructor(node: string, directory: string, trackerUrl: string, extra: readonly string[]) {
    const cacheDir = join(directory, `${node}-cache`);
    const runDir = join(directory, `${node}-run`);
    super(
      [
        ...['agent', '--tracker', trackerUrl, '--cache', cacheDir, '--run', runDir],
        ...['--node', node, '--listen', '127.0.0.1:0', '--fill', 'never'],
        // One process, so that what a test does to it, it does to the agent.
        ...['--holder', 'no', ...extra],
      ],
      join(directory, `${node}.log`),
      /agent ready/,
    );
    this.node = node;
    this.cacheDir = cacheDir;
    this.runDir = runDir;
  }

  get<T>(path: string): Promise<T> {
    return askJson({ socketPath: join(this.runDir, 'agent.sock'), path, method: 'GET' });
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return askJson({ socketPath: join(this.runDir, 'agent.sock'), path, method: 'POST' }, body);
  }

  status(): Promise<AgentStatus> {
    return this.get('/v1/status');
  }

  attach(image: string): Promise<ExportInfo> {
    return this.post('/v1/exports', { image });
  }

  createVm(image: string, name: string): Promise<VmInfo> {
    return this.post('/v1/vms', { image, name });
  }

  removeVm(name: string): Promise<void> {
    return this.#delete(`/v1/vms/${name}`);
  }

  evict(image: string): Promise<void> {
    return this.#delete(`/v1/images/${image}`);
  }

  #delete(path: string): Promise<void> {
    return askJson({ socketPath: join(this.runDir, 'agent.sock'), path, method: 'DELETE' });
  }

  async touched(image: string): Promise<Bitfield> {
    const { pieceCount, bitfield } = await this.get<TouchedPieces>(`/v1/images/${image}/touched`);
    return Bitfield.fromBytes(pieceCount, Buffer.from(bitfield, 'base64'))!;
  }
}

export class Cluster {
  readonly directory = mkdtempSync(join(tmpdir(), 'bootswarm-test-'));
  readonly dataDir = join(this.directory, 'data');
  readonly agents: TestAgent[] = [];
  /** More options of the tracker, for whoever starts it himself. */
  readonly trackerExtra: string[] = [];
  #tracker: Daemon | undefined;
  url = '';

  get tracker(): Daemon {
    this.#tracker ??= this.#trackerAt('127.0.0.1:0');
    return this.#tracker;
  }

  static async start(agentCount: number, extra: readonly string[] = []): Promise<Cluster> {
    const cluster = new Cluster();
    try {
      await cluster.startTracker();
      await Promise.all(
        Array.from({ length: agentCount }, (_, index) =>
          cluster.addAgent(`node${index + 1}`, extra),
        ),
      );
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** For a test that prepares the directory first; start() has done it. */
  async startTracker(): Promise<void> {
    this.url = (await this.tracker.start())[1];
  }

  get adminToken(): string {
    return readFileSync(join(this.dataDir, 'admin.token'), 'utf8').trim();
  }

  /** Where it was, so that the agents find it again. */
  async restartTracker(): Promise<void> {
    this.#tracker = this.#trackerAt(new URL(this.url).host);
    await this.tracker.start();
  }

  /** Of the newest origin process, whether it still runs or not. */
  get originPid(): number {
    const log = readFileSync(join(this.dataDir, 'origin.log'), 'utf8');
    const hello = log
      .trimEnd()
      .split('\n')
      .findLast((line) => line.includes('"origin is up"'));
    return (JSON.parse(hello!) as { pid: number }).pid;
  }

  async addAgent(node: string, extra: readonly string[] = []): Promise<TestAgent> {
    const agent = new TestAgent(node, this.directory, this.url, extra);
    this.agents.push(agent);
    await agent.start();
    return agent;
  }

  /** Publishes through the command line; returns the image id. */
  async publish(source: string, name: string, ...extra: string[]): Promise<string> {
    const result = await bootswarm(
      'publish',
      source,
      '--name',
      name,
      '--json',
      '--tracker',
      this.url,
      ...extra,
    );
    if (result.code !== 0) throw new Error(result.stderr);
    return (JSON.parse(result.stdout) as { image: { id: string } }).image.id;
  }

  trackerGet<T>(path: string): Promise<T> {
    const { hostname, port } = new URL(this.url);
    return askJson({ host: hostname, port: Number(port), path, method: 'GET' });
  }

  async swarm(image: string): Promise<SwarmSummary> {
    const { swarms } = await this.trackerGet<{ swarms: SwarmSummary[] }>('/v1/swarms');
    return swarms.find((swarm) => swarm.image === image)!;
  }

  /** Distinct pieces that guests on any node touched. */
  async touchedPieces(image: string): Promise<number> {
    const union = new Set<number>();
    for (const agent of this.agents) {
      const touched = await agent.touched(image);
      for (let at = touched.nextSet(0); at >= 0; at = touched.nextSet(at + 1)) union.add(at);
    }
    return union.size;
  }

  #trackerAt(listen: string): Daemon {
    return new Daemon(
      [
        ...['tracker', '--data', this.dataDir, '--listen', listen],
        ...['--origin-listen', '127.0.0.1:0', ...this.trackerExtra],
      ],
      join(this.directory, 'tracker.log'),
      /tracker ready at (\S+)/,
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.kill('SIGTERM')));
    await this.tracker.kill('SIGTERM');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Asks an HTTP API of ours; rejects unless the answer is a success. */
export function askJson<T>(
  to: { socketPath?: string; host?: string; port?: number; path: string; method: string },
  body?: unknown,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...to, agent: false, timeout: 30_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (more: string) => {
        text += more;
      });
      response.on('end', () => {
        if ((response.statusCode ?? 500) >= 300)
          reject(new Error(`${response.statusCode}: ${text}`));
        else resolve(text === '' ? (undefined as T) : (JSON.parse(text) as T));
      });
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error(`${to.path}: no answer`)));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
