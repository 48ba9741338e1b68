/** Runs the command that the setup was for, in its place: the same stdio, the signals passed on, its exit code ours. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** A terminal sends these to every process of the foreground job by itself; passing them on would deliver them twice. */
const FROM_TERMINAL = ['SIGINT', 'SIGHUP'];

/** Returns at once; the process exits as the command does, or with 128 + n when signal n killed it, as in a shell. */
export function runCommand([program, ...programArguments], env) {
  const child = spawn(program, programArguments, { stdio: 'inherit', env });
  for (const signal of ['SIGTERM', ...FROM_TERMINAL]) {
    process.on(signal, () => {
      if (!(FROM_TERMINAL.includes(signal) && process.stdin.isTTY)) child.kill(signal);
    });
  }
  child.on('error', (error) => {
    console.error(`setup: cannot run ${program}: ${error.message}`);
    process.exitCode = 127;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}
