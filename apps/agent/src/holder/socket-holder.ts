/**
 * The parent of an agent, which keeps its listening sockets: what connects while no agent runs waits for the next. Decides which
 * of its children serves. One serves; one more, the successor, has loaded the same code and takes over when the first is gone,
 * for whatever reason. What an agent does is none of its business, so that nothing here can fail with it.
 */
import { constants } from 'node:os';
import { type AgentEnd, AgentProcess, type HeldSockets } from './agent-process.ts';
import type { ToHolder } from './holder-messages.ts';

export interface SocketHolderOptions {
  readonly sockets: HeldSockets;
  /** Arguments of Node that start an agent: the same for all, whatever is on the disk by then. */
  readonly command: readonly string[];
  readonly onEvent: (event: HolderEvent) => void;
}

export type HolderEvent =
  | { type: 'serving'; agentPid: number | undefined }
  /** `how` as people say it; the next one serves after `delayMs`. */
  | { type: 'agent-died'; agentPid: number | undefined; how: string; delayMs: number }
  | { type: 'successor-waits'; agentPid: number | undefined }
  | { type: 'successor-died'; agentPid: number | undefined; how: string; delayMs: number }
  | { type: 'upgrade-failed'; agentPid: number | undefined; how: string }
  | { type: 'upgrading'; from: number | undefined; to: number | undefined };

/** An agent that has lasted for less may have died of what the next one will meet as well. */
const LASTED_MS_MIN = 1_000;
const DELAY_MIN_MS = 100;
const DELAY_MAX_MS = 10_000;
/** Loading takes CPU, which guests that have waited for the agent before it need more. */
const SUCCESSOR_AFTER_MS = 500;
/** Half a second of CPU; as much as a host that swaps may need. */
const LOAD_TIMEOUT_MS = 30_000;
/** It flushes its caches before it cuts its guests, and has nothing left to do then. */
const END_TIMEOUT_MS = 10_000;

export class SocketHolder {
  readonly #options: SocketHolderOptions;
  readonly #ended = Promise.withResolvers<number>();
  #active: AgentProcess | undefined;
  #successor: AgentProcess | undefined;
  /** What an upgrade waits for: the successor once it has loaded. Until then the one before may be needed. */
  #candidate: AgentProcess | undefined;
  /** loading: the candidate is. handed-over: the agent that asked for it is ending. */
  #upgrading: 'no' | 'loading' | 'handed-over' = 'no';
  #isStopping = false;
  #hasServed = false;
  /** In a row, of agents that had hardly served, and of successors that had hardly waited. */
  #deaths = 0;
  #successorDeaths = 0;
  #activeTimer: NodeJS.Timeout | undefined;
  #successorTimer: NodeJS.Timeout | undefined;
  #upgradeTimer: NodeJS.Timeout | undefined;

  constructor(options: SocketHolderOptions) {
    this.#options = options;
  }

  /** Resolves with the exit code of the agent that ended on purpose, or that could not be started in the first place. */
  run(): Promise<number> {
    this.#active = this.#spawn();
    this.#active.tell({ type: 'serve', isFirst: true });
    return this.#ended.promise;
  }

  /** Passes a signal on that asks to end. The second time means now, also to an agent that is stuck and hears nothing. */
  stop(signal: NodeJS.Signals): void {
    if (this.#active === undefined) this.#finish(0);
    else this.#active.signal(this.#isStopping ? 'SIGKILL' : signal);
    this.#isStopping = true;
  }

  #spawn(): AgentProcess {
    return new AgentProcess({
      command: this.#options.command,
      sockets: this.#options.sockets,
      onMessage: (agent, message) => this.#heard(agent, message),
      onEnd: (agent, end) => this.#lost(agent, end),
    });
  }

  #heard(agent: AgentProcess, { type }: ToHolder): void {
    switch (type) {
      case 'loaded':
        if (agent === this.#candidate && this.#upgrading === 'loading') this.#handOver();
        if (agent === this.#successor) {
          this.#options.onEvent({ type: 'successor-waits', agentPid: agent.pid });
          this.#active?.tell({ type: 'successor', pid: agent.pid ?? null });
        }
        return;
      case 'serving':
        this.#hasServed = true;
        this.#options.onEvent({ type: 'serving', agentPid: agent.pid });
        this.#prepareSuccessorIn(SUCCESSOR_AFTER_MS);
        return;
      case 'upgrade':
        if (agent === this.#active && this.#upgrading === 'no') this.#upgrade();
    }
  }

  #lost(agent: AgentProcess, end: AgentEnd): void {
    if (agent === this.#candidate) this.#candidateLost(agent, end);
    if (agent === this.#successor) this.#successorLost(agent, end);
    if (agent !== this.#active) return;
    this.#active = undefined;
    const isUpgraded = this.#upgrading === 'handed-over';
    this.#upgrading = 'no';
    clearTimeout(this.#upgradeTimer);
    // Told to end, by us or by others, or never able to begin: it has said why.
    if (this.#isStopping || !this.#hasServed || (end.code === 0 && !isUpgraded)) {
      this.#finish(exitCodeOf(end));
      return;
    }
    this.#deaths = isUpgraded || agent.servedMs >= LASTED_MS_MIN ? 0 : this.#deaths + 1;
    const delayMs = delayAfter(this.#deaths);
    if (!isUpgraded) {
      this.#options.onEvent({ type: 'agent-died', agentPid: agent.pid, how: howOf(end), delayMs });
    }
    if (delayMs === 0) this.#promote();
    else this.#activeTimer = setTimeout(() => this.#promote(), delayMs);
  }

  #promote(): void {
    clearTimeout(this.#successorTimer);
    // An upgrade that the agent did not live to see ends as it began: what it had loaded waits for its turn.
    this.#active = this.#successor ?? this.#candidate ?? this.#spawn();
    this.#successor = this.#active === this.#candidate ? undefined : this.#candidate;
    this.#candidate = undefined;
    this.#active.tell({ type: 'serve', isFirst: false });
  }

  #prepareSuccessorIn(delayMs: number): void {
    clearTimeout(this.#successorTimer);
    this.#successorTimer = setTimeout(() => {
      if (!this.#isStopping && this.#active !== undefined) this.#successor ??= this.#spawn();
    }, delayMs);
  }

  #successorLost(agent: AgentProcess, end: AgentEnd): void {
    this.#successor = undefined;
    if (this.#isStopping) return;
    this.#active?.tell({ type: 'successor', pid: null });
    this.#successorDeaths = agent.loadedMs >= LASTED_MS_MIN ? 0 : this.#successorDeaths + 1;
    const delayMs = delayAfter(this.#successorDeaths);
    this.#options.onEvent({
      type: 'successor-died',
      agentPid: agent.pid,
      how: howOf(end),
      delayMs,
    });
    this.#prepareSuccessorIn(delayMs);
  }

  #upgrade(): void {
    clearTimeout(this.#successorTimer);
    this.#upgrading = 'loading';
    const candidate = this.#spawn();
    this.#candidate = candidate;
    this.#upgradeTimer = setTimeout(() => candidate.signal('SIGKILL'), LOAD_TIMEOUT_MS);
  }

  #candidateLost({ pid: agentPid }: AgentProcess, end: AgentEnd): void {
    this.#candidate = undefined;
    if (this.#isStopping) return;
    const how = howOf(end);
    this.#upgrading = 'no';
    clearTimeout(this.#upgradeTimer);
    this.#options.onEvent({ type: 'upgrade-failed', agentPid, how });
    this.#active?.tell({ type: 'upgrade-failed', reason: `it ${how}` });
    this.#prepareSuccessorIn(SUCCESSOR_AFTER_MS);
  }

  #handOver(): void {
    this.#upgrading = 'handed-over';
    this.#successor?.signal('SIGKILL');
    this.#successor = this.#candidate;
    this.#candidate = undefined;
    clearTimeout(this.#upgradeTimer);
    // One whose disk does not let it end keeps guests waiting: kill -9 costs it nothing.
    this.#upgradeTimer = setTimeout(() => this.#active?.signal('SIGKILL'), END_TIMEOUT_MS);
    this.#options.onEvent({
      type: 'upgrading',
      from: this.#active?.pid,
      to: this.#successor?.pid,
    });
    this.#active?.tell({ type: 'successor-loaded' });
  }

  #finish(exitCode: number): void {
    this.#isStopping = true;
    for (const timer of [this.#activeTimer, this.#successorTimer, this.#upgradeTimer])
      clearTimeout(timer);
    for (const waiting of [this.#successor, this.#candidate]) waiting?.signal('SIGKILL');
    for (const socket of this.#options.sockets) socket?.close();
    this.#ended.resolve(exitCode);
  }
}

/** At once after one that lasted, then 100 ms, 200 ms, up to 10 s. */
function delayAfter(deaths: number): number {
  return deaths === 0 ? 0 : Math.min(DELAY_MIN_MS * 2 ** (deaths - 1), DELAY_MAX_MS);
}

function howOf({ code, signal }: AgentEnd): string {
  if (signal !== null) return `was ended by ${signal}`;
  return code === null ? 'could not be started' : `ended with code ${code}`;
}

function exitCodeOf({ code, signal }: AgentEnd): number {
  return code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
}
