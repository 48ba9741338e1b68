/** Kills the agent of a socket holder again and again, and knows which process it is. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestAgent, until } from './cluster.ts';

export interface Kill {
  readonly pid: number;
  /** Date.now(), to be held against log lines. */
  readonly at: number;
}

/** The process that serves, which is not the holder; undefined while there is none. */
export function servingPid({ runDir }: TestAgent): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(join(runDir, 'agent.json'), 'utf8')) as { pid: number };
    // Left behind by one that was killed: the next writes it anew.
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}

/** Children of the holder: the agent that serves, and its successor. */
export function agentPids(agent: TestAgent): number[] {
  const { pid } = agent;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

/** Waits for an agent that is not `before` to serve. */
export function nextServing(agent: TestAgent, before: number | undefined): Promise<number> {
  return until('the next agent serves', () => {
    const pid = servingPid(agent);
    return pid !== before && pid;
  });
}

export class AgentKiller {
  readonly kills: Kill[] = [];
  readonly #agent: TestAgent;
  readonly #timer: NodeJS.Timeout;

  /** kill -9 every `everyMs`, from then on. */
  constructor(agent: TestAgent, everyMs: number) {
    this.#agent = agent;
    this.#timer = setInterval(() => this.kill(), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  kill(): void {
    const pid = servingPid(this.#agent);
    if (pid === undefined) return;
    this.kills.push({ pid, at: Date.now() });
    process.kill(pid, 'SIGKILL');
  }
}
