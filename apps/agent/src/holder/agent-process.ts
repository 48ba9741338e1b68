/**
 * One agent as a child of its socket holder: started with the sockets, told when to serve, heard when it ends. Which of them
 * serves is socket-holder.ts's matter.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { LEAN_NODE_ENV, LEAN_NODE_FLAGS } from '@bootswarm/stdx';
import type { BoundSocket } from './bound-socket.ts';
import type { ToAgent, ToHolder } from './holder-messages.ts';
import { SOCKET_NAMES, withoutListenVariables } from './inherited-sockets.ts';

/** In the order of SOCKET_NAMES. */
export type HeldSockets = readonly [nbd: BoundSocket, peers: BoundSocket, fuse?: BoundSocket];

export interface AgentEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface AgentProcessOptions {
  /** Arguments of Node: the program and its own. */
  readonly command: readonly string[];
  readonly sockets: HeldSockets;
  readonly onMessage: (agent: AgentProcess, message: ToHolder) => void;
  readonly onEnd: (agent: AgentProcess, end: AgentEnd) => void;
}

export class AgentProcess {
  readonly #child: ChildProcess;
  #loadedAt: number | undefined;
  #servingAt: number | undefined;

  constructor({ command, sockets, onMessage, onEnd }: AgentProcessOptions) {
    const fds = sockets.filter((socket) => socket !== undefined).map(({ fd }) => fd);
    const args = [...process.execArgv, ...LEAN_NODE_FLAGS, ...command];
    this.#child = spawn(process.execPath, args, {
      // A session of its own: Ctrl-C reaches the holder alone, which then says SIGINT to one agent once.
      detached: true,
      stdio: ['inherit', 'inherit', 'inherit', ...fds, 'ipc'],
      env: {
        ...LEAN_NODE_ENV,
        ...withoutListenVariables(process.env),
        LISTEN_PPID: `${process.pid}`,
        LISTEN_FDS: `${fds.length}`,
        LISTEN_FDNAMES: SOCKET_NAMES.slice(0, fds.length).join(':'),
      },
    });
    this.#child.on('message', (message) => {
      const { type } = message as ToHolder;
      if (type === 'loaded') this.#loadedAt = performance.now();
      if (type === 'serving') this.#servingAt = performance.now();
      onMessage(this, message as ToHolder);
    });
    let hasEnded = false;
    const ended = (end: AgentEnd): void => {
      if (!hasEnded) onEnd(this, end);
      hasEnded = true;
    };
    this.#child.on('exit', (code, signal) => ended({ code, signal }));
    // It could not be started (no memory, no process left), or told something after its end.
    this.#child.on('error', () => {
      if (this.#child.pid === undefined) ended({ code: null, signal: null });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How long it has had its code; 0 before that. */
  get loadedMs(): number {
    return since(this.#loadedAt);
  }

  /** How long it has served; 0 before it does. */
  get servedMs(): number {
    return since(this.#servingAt);
  }

  /** A process that is about to end does not hear it. */
  tell(message: ToAgent): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

function since(at: number | undefined): number {
  return at === undefined ? 0 : performance.now() - at;
}
