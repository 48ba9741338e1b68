/** `bootswarm demo`: boots VMs in a cloud of its own on this machine and says where their bytes came from. */
import { constants } from 'node:os';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { CliContext } from '../cli-context.ts';
import type { DemoOptions } from '../demo/demo.ts';
import { EXIT_FAILED } from '../failure.ts';
import { print, printJson } from '../terminal.ts';

interface Options {
  readonly agents: number;
  readonly vms: number;
  readonly image?: string;
  readonly marker?: RegExp;
  readonly timeout: number;
  readonly keep?: boolean;
  readonly json?: boolean;
}

/** More than one machine holds; it only keeps a typing mistake from starting a million processes. */
const COUNT_MAX = 1_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function demoCommand(context: CliContext): Command {
  return new Command('demo')
    .description('Boot VMs from one image on this machine, with agents that feed each other.')
    .option('--agents <n>', 'compute nodes, each with an agent', parseCount, 3)
    .option('--vms <n>', 'VMs, spread over the nodes', parseCount, 6)
    .option('--image <file>', 'a raw or qcow2 disk that boots by BIOS; else a small Debian is made')
    .option('--marker <regex>', 'a console line that means booted', parseRegex)
    .option('--timeout <seconds>', 'for each VM to boot', parseCount, 300)
    .option('--keep', 'keep logs, consoles, caches and overlays')
    .option('--json', 'print the result as JSON; how it goes is told on standard error')
    .addHelpText(
      'after',
      `
Without --marker, a VM has booted when its serial console shows a login prompt. The demo's own image is kept in
./.bootswarm/demo, and its VMs also prove with a SHA-256 that they read the right bytes. Exits with 0 when all VMs booted.

Examples:
  bootswarm demo
  bootswarm demo --agents 5 --vms 20
  bootswarm demo --image debian-12-nocloud-amd64.qcow2 --vms 2
  bootswarm demo --image my.raw --marker 'Welcome to' --keep`,
    )
    .action((options: Options) => demo(options, context));
}

async function demo(options: Options, context: CliContext): Promise<void> {
  const { stdout, stderr } = context.terminal;
  const { MARKER_DEFAULT } = await import('../demo/console-watch.ts');
  const { runDemo } = await import('../demo/demo.ts');
  const { bootedCount, describeResult, resultDocument } = await import('../demo/demo-report.ts');
  const demoOptions: DemoOptions = {
    agents: options.agents,
    vms: options.vms,
    imagePath: options.image === undefined ? undefined : resolve(options.image),
    marker: options.marker ?? new RegExp(MARKER_DEFAULT),
    timeoutMs: options.timeout * 1000,
    isKept: options.keep === true,
  };
  const interruption = watchForInterruption();
  try {
    const output = options.json ? stderr : stdout;
    const result = await runDemo(demoOptions, output, interruption.promise);
    if (options.json) printJson(stdout, resultDocument(result));
    else print(stdout, `\n${describeResult(result, performance.now(), stdout.columns)}`);
    if (bootedCount(result.guests) < result.guests.length) context.exitCode = EXIT_FAILED;
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    print(stderr, `bootswarm: demo ended by ${error.signal}`);
    context.exitCode = 128 + constants.signals[error.signal];
  } finally {
    interruption.stop();
  }
}

class Interruption extends Error {
  readonly signal: (typeof SIGNALS)[number];

  constructor(signal: (typeof SIGNALS)[number]) {
    super(signal);
    this.signal = signal;
  }
}

/** `promise` rejects with Interruption at the first signal; another one changes nothing, as the end is under way. */
function watchForInterruption(): { promise: Promise<never>; stop(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const listeners = SIGNALS.map(
    (signal) => [signal, () => reject(new Interruption(signal))] as const,
  );
  for (const [signal, listener] of listeners) process.on(signal, listener);
  // The demo may be over, and nobody waiting, when a signal comes.
  promise.catch(() => {});
  return {
    promise,
    stop: () => {
      for (const [signal, listener] of listeners) process.removeListener(signal, listener);
    },
  };
}

function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= COUNT_MAX) return count;
  throw new InvalidArgumentError(`Give a number from 1 to ${COUNT_MAX}.`);
}

function parseRegex(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
