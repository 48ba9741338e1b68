/** `bootswarm agent upgrade`: has the running agent replaced by one with the code that is on the disk now. */
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentStatus, UpgradeInfo } from '@bootswarm/agent';
import { OperatorError } from '@bootswarm/stdx';
import { Command } from 'commander';
import type { CliContext } from '../cli-context.ts';
import { type AgentOptions, findAgent, withAgentOption } from '../daemons.ts';
import type { HttpClient } from '../http-client.ts';
import { print, printJson } from '../terminal.ts';

interface Options extends AgentOptions {
  readonly json?: boolean;
}

/** systemd waits a while between tries, and an agent with many images a second for its disk. */
const SUCCESSOR_MS_MAX = 60_000;
const POLL_MS = 10;

export function agentUpgradeCommand({ terminal }: CliContext): Command {
  const command = new Command('upgrade')
    .description('Replace the running agent by what is installed now; guests wait for a moment.')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Install the new version first, in the place of the old one. The running agent is asked to end only
when the new one has loaded its code; what guests read meanwhile waits for the new one. The options
stay those that the agent was started with.

Examples:
  bootswarm agent upgrade
  bootswarm agent upgrade --run ~/run --json`,
    )
    .action(async (options: Options) => {
      const agent = findAgent(options, terminal.env);
      const from = await agent.post<UpgradeInfo>('/v1/upgrade', {});
      const startedAt = performance.now();
      const { pid, version } = await successorOf(from.pid, agent);
      const seconds = Math.round(performance.now() - startedAt) / 1_000;
      if (options.json) return printJson(terminal.stdout, { from, to: { pid, version }, seconds });
      const versions = `${from.version} (process ${from.pid}) by ${version} (process ${pid})`;
      print(terminal.stdout, `replaced agent ${versions} in ${seconds} s`);
    });
  return withAgentOption(command);
}

/** The status of the first agent that answers and is another process. */
async function successorOf(pid: number, agent: HttpClient): Promise<AgentStatus> {
  for (const deadline = performance.now() + SUCCESSOR_MS_MAX; ; await delay(POLL_MS)) {
    try {
      const status = await agent.get<AgentStatus>('/v1/status');
      if (status.pid !== pid) return status;
    } catch (error) {
      // Between the two there is none.
      if (performance.now() < deadline) continue;
      throw error;
    }
    if (performance.now() < deadline) continue;
    throw new OperatorError(
      'upgrade-stuck',
      `process ${pid} still serves ${SUCCESSOR_MS_MAX / 1_000} s after its successor was ready`,
      "look at the agent's log",
    );
  }
}
