/**
 * How an agent of this host is kept running. Started by a person, this process becomes its socket holder and the agent its child;
 * as that child, with sockets of systemd, or without a holder by choice, it is the agent itself.
 */
import type { AgentOptions, KnownImages, Supervision } from '@bootswarm/agent';
import type { HolderLink, InheritedSockets } from '@bootswarm/agent/holder';
import { END_SIGNALS, runUntilSignal } from './daemon-life.ts';
import { starting } from './failure.ts';

export interface AgentLife {
  readonly options: AgentOptions;
  readonly wantsHolder: boolean;
  /** 0: no watchdog. */
  readonly watchdogSeconds: number;
  /** What follows `bootswarm` on the command line: a holder starts every agent with it. */
  readonly args: readonly string[];
  readonly onReady: () => void;
}

/** An image that came since the last look costs its check when the agent dies: tens of milliseconds, once. */
const LOOK_EVERY_MS = 5_000;

type RunHolder = typeof import('@bootswarm/agent/holder').runHolder;

/** Resolves with the exit code when the agent has ended on purpose. */
export async function liveAsAgent(life: AgentLife): Promise<number> {
  const { HolderLink, inheritedSockets, runHolder } = await import('@bootswarm/agent/holder');
  const { env, pid, ppid } = process;
  const sockets = inheritedSockets(env, { pid, ppid });
  const link = HolderLink.ofThisProcess();
  // systemd keeps sockets, but not the descriptor of a FUSE directory.
  const isKept = sockets !== undefined && (life.options.fuse === undefined || link !== undefined);
  if (!isKept && life.wantsHolder) return hold(life, runHolder, sockets);
  await serve(life, sockets, link);
  return 0;
}

async function hold(
  { options, args }: AgentLife,
  runHolder: RunHolder,
  inherited: InheritedSockets | undefined,
): Promise<number> {
  const { runDir, listen, logLevel, fuse } = options;
  const command = [process.argv[1], ...args];
  const fuseDir = fuse?.directory;
  const holder = await starting(
    runHolder({ runDir, listen, logLevel, command, inherited, fuseDir }),
  );
  for (const signal of END_SIGNALS) process.on(signal, () => holder.stop(signal));
  return holder.ended;
}

async function serve(
  { options, watchdogSeconds, onReady }: AgentLife,
  sockets: InheritedSockets | undefined,
  link: HolderLink | undefined,
): Promise<void> {
  const { runAgent, startWatchdog } = await import('@bootswarm/agent');
  const watchdog = watchdogSeconds > 0 ? startWatchdog(watchdogSeconds) : undefined;
  try {
    const turn = link && (await untilOurTurn(link, options));
    const prepareSuccessor = link ? () => link.prepareSuccessor() : systemdRestart(sockets);
    const supervision = () => supervisionOf(link, sockets);
    const isRestart = sockets !== undefined && turn?.isFirst !== true;
    const known = turn?.known;
    const agent = await starting(
      runAgent({
        ...{ ...options, sockets, isRestart, known },
        ...{ prepareSuccessor, supervision },
      }),
    );
    link?.serving();
    onReady();
    await runUntilSignal(agent, agent.replaced);
  } finally {
    // Either would keep the process from ending, also one that could not begin.
    await watchdog?.close();
    link?.close();
  }
}

function supervisionOf(
  link: HolderLink | undefined,
  sockets: InheritedSockets | undefined,
): Supervision {
  if (link !== undefined) {
    return { by: 'socket-holder', holderPid: process.ppid, successorPid: link.successorPid };
  }
  return { by: systemdRestart(sockets) ? 'systemd' : 'nobody' };
}

/** Meanwhile the images that will be ours are checked, those that come later too. */
async function untilOurTurn(
  link: HolderLink,
  { cacheDir, publisherKey }: AgentOptions,
): Promise<{ readonly known: KnownImages; readonly isFirst: boolean }> {
  const { KnownImages } = await import('@bootswarm/agent');
  const known = new KnownImages();
  known.look(cacheDir, publisherKey);
  const timer = setInterval(() => known.look(cacheDir, publisherKey), LOOK_EVERY_MS);
  const { isFirst } = await link.turn();
  clearInterval(timer);
  return { known, isFirst };
}

/** The units we ship say Restart=always: to end is to be started again, with the same sockets. */
function systemdRestart(sockets: InheritedSockets | undefined): (() => Promise<void>) | undefined {
  const isUnit = sockets !== undefined && process.env.INVOCATION_ID !== undefined;
  return isUnit ? async () => {} : undefined;
}
