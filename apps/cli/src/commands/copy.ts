/** `bootswarm copy`: one whole copy from a URI to another, with a progress bar. */
import { join } from 'node:path';
import { AgentImages, builtInSchemes, type CopyTask, copy } from '@bootswarm/copy';
import { Command } from 'commander';
import { formatBytes } from '../byte-size.ts';
import type { CliContext } from '../cli-context.ts';
import { type AgentOptions, runDirectory, withAgentOption } from '../daemons.ts';
import { type GlanceOptions, glanceClient, withGlanceOptions } from '../glance-options.ts';
import { type ProgressReport, progressReport } from '../progress-report.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { printable } from '../terminal-text.ts';

interface Options extends AgentOptions, GlanceOptions {
  readonly sha256?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const REPORT_MS = 200;
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function copyCommand({ terminal }: CliContext): Command {
  const command = new Command('copy')
    .description(
      'Copy a whole image: verified, resumed where it was interrupted, in place at once.',
    )
    .argument('<from>', 'file:, http(s):, nbd+unix:, glance:ID or swarm:IMAGE; a path as it is')
    .argument('<to>', 'a path, or file:PATH')
    .option('--sha256 <hex>', 'what all bytes must hash to; else nothing is put in place')
    .option('--force', 'replace a file that is there')
    .option('--json', 'print the result as JSON, and no progress')
    .addHelpText(
      'after',
      `
swarm: is read through the agent of this host, which fills its cache at full speed meanwhile. Every piece is checked against
the image's hash tree. An interrupted copy goes on where it stopped when the same command is given again; what it kept is
proven first. Zeros become holes.

glance: gives the bytes that Glance stores, a qcow2 file as it is, compared with os_hash_value. Say where Glance is with
--openstack-credentials or OS_* of the environment, or with --glance-url.

Examples:
  bootswarm copy swarm:debian-12 /var/lib/images/debian-12.raw
  bootswarm copy https://cloud.example.org/worker.raw worker.raw --sha256 9f86d081…
  bootswarm copy 'nbd+unix:///disk?socket=/run/nbd.sock' disk.raw
  bootswarm copy glance:5f6a2c1e-… disk.raw --openstack-credentials openrc
  bootswarm copy swarm:3f9a file:/srv/worker.raw --force --json`,
    )
    .action((from: string, to: string, options: Options) => runCopy(from, to, options, terminal));
  return withAgentOption(withGlanceOptions(command));
}

async function runCopy(
  from: string,
  to: string,
  options: Options,
  terminal: Terminal,
): Promise<void> {
  const images = new AgentImages(join(runDirectory(options, terminal.env), 'agent.sock'));
  const glance = await glanceClient(options, terminal.env);
  const { sha256, force } = options;
  const task = copy(from, to, { schemes: builtInSchemes({ images, glance }), sha256, force });
  const onSignal = (): void => task.cancel({ keep: true });
  for (const signal of ENDING_SIGNALS) process.on(signal, onSignal);
  const report = options.json ? undefined : progressReport(terminal.stderr);
  const timer = report && setInterval(() => show(report, task), REPORT_MS);
  try {
    const result = await task.wait();
    report?.stop();
    if (options.json) return printJson(terminal.stdout, result);
    const { length, bytesKept, seconds } = result;
    const kept = bytesKept > 0 ? `, ${formatBytes(bytesKept)} of it kept` : '';
    const rate = `${formatBytes((length - bytesKept) / Math.max(seconds, 0.001))}/s`;
    print(
      terminal.stdout,
      `${printable(result.to)}: ${formatBytes(length)} in ${seconds.toFixed(1)} s (${rate})${kept}`,
    );
  } finally {
    clearInterval(timer);
    report?.stop();
    for (const signal of ENDING_SIGNALS) process.off(signal, onSignal);
  }
}

function show(report: ProgressReport, task: CopyTask): void {
  const { phase, bytesDone, bytesTotal, bytesPerSecond } = task.progress;
  if (bytesTotal === 0) return;
  const rate = phase === 'copy' && bytesPerSecond > 0 ? ` ${formatBytes(bytesPerSecond)}/s` : '';
  report.update(phase, bytesDone, bytesTotal, rate);
}
