/**
 * A cloud on one machine: a tracker and agents as real processes, each with its own directories, on ports the system
 * chooses. What is booted from it is demo.ts's matter.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AgentStatus } from '@bootswarm/agent';
import { OperatorError } from '@bootswarm/stdx';
import { adminToken } from '../admin-token.ts';
import { findAgent, findTracker } from '../daemons.ts';
import type { HttpClient } from '../http-client.ts';
import type { Child } from './child.ts';
import type { ChildSet } from './child-set.ts';
import type { RunDirectory } from './run-directory.ts';

export interface CloudNode {
  readonly name: string;
  readonly agent: HttpClient;
}

const READY_MS_MAX = 30_000;
const POLL_MS = 100;

/** The command's entry, beside whichever form of this file runs: .ts sources or compiled .js. */
const MAIN = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url),
);

export class Cloud {
  readonly tracker: HttpClient;
  readonly pageUrl: string;
  readonly adminToken: string;
  readonly nodes: readonly CloudNode[];
  readonly #daemons: readonly Child[];

  private constructor(
    url: string,
    tracker: HttpClient,
    adminToken: string,
    nodes: readonly CloudNode[],
    daemons: readonly Child[],
  ) {
    this.pageUrl = `${url}/`;
    this.tracker = tracker;
    this.adminToken = adminToken;
    this.nodes = nodes;
    this.#daemons = daemons;
  }

  /** Resolves when every agent is connected to the tracker. */
  static async start(agents: number, children: ChildSet, run: RunDirectory): Promise<Cloud> {
    const trackerChild = startTracker(children, run);
    const [, url] = await trackerChild.line(/^tracker ready at (\S+)$/, READY_MS_MAX);
    const tracker = findTracker({ tracker: url }, {});
    const token = await adminToken(tracker, {});
    const names = Array.from({ length: agents }, (_, index) => `node-${index + 1}`);
    const started = names.map((name) => startAgent(name, url, children, run));
    const nodes = await Promise.all(
      started.map(async ({ child, node }) => {
        await child.line(/^agent ready at /, READY_MS_MAX);
        await untilConnected(node);
        return node;
      }),
    );
    return new Cloud(url, tracker, token, nodes, [
      trackerChild,
      ...started.map(({ child }) => child),
    ]);
  }

  /** Rejects with OperatorError when a daemon ends that nobody asked to; otherwise never settles. */
  async untilDaemonFails(): Promise<never> {
    return new Promise((_, reject) => {
      for (const child of this.#daemons) {
        void child.ended.then((how) => {
          if (!child.isStopping) reject(child.failure(how));
        });
      }
    });
  }
}

function startTracker(children: ChildSet, run: RunDirectory): Child {
  return children.start({
    name: 'tracker',
    argv: [
      ...[process.execPath, MAIN, 'tracker', '--data', run.directory('tracker')],
      ...['--listen', '127.0.0.1:0', '--origin-listen', '127.0.0.1:0'],
    ],
    logPath: run.log('tracker'),
  });
}

/**
 * --fill never: what goes over the wire is then what guests read, and the origin's bytes can be held against it; idle
 * nodes would go on to fetch the rest of the image. --holder no: all nodes share one machine, and a successor for each would be
 * loaded while guests boot.
 */
function startAgent(
  name: string,
  trackerUrl: string,
  children: ChildSet,
  run: RunDirectory,
): { child: Child; node: CloudNode } {
  const runDir = run.directory(name, 'run');
  const child = children.start({
    name,
    argv: [
      ...[process.execPath, MAIN, 'agent', '--tracker', trackerUrl, '--run', runDir],
      ...['--cache', run.directory(name, 'cache'), '--vms', run.directory(name, 'vms')],
      ...['--node', name, '--listen', '127.0.0.1:0', '--fill', 'never', '--holder', 'no'],
    ],
    logPath: run.log(name),
  });
  return { child, node: { name, agent: findAgent({ run: runDir }, {}) } };
}

async function untilConnected({ name, agent }: CloudNode): Promise<void> {
  const deadline = performance.now() + READY_MS_MAX;
  while (performance.now() < deadline) {
    const { tracker } = await agent.get<AgentStatus>('/v1/status');
    if (tracker.isConnected) return;
    await delay(POLL_MS);
  }
  throw new OperatorError(
    'agent-not-connected',
    `${name} did not reach the tracker within ${READY_MS_MAX / 1000} s`,
    'run the demo again with --keep and read the log of the tracker and of this node',
  );
}
