#!/usr/bin/env node
/** The process of the `bootswarm` command: its arguments, its terminal, its exit code. */
import { constants } from 'node:os';
import { errnoOf } from '@bootswarm/stdx';
import { runCli } from './cli.ts';

const { stdout, stderr, env } = process;
// `bootswarm images | head -1`: Node ignores SIGPIPE, which ends other programs then.
stdout.on('error', (error) => {
  if (errnoOf(error) !== 'EPIPE') throw error;
  process.exit(128 + constants.signals.SIGPIPE);
});
process.exitCode = await runCli(process.argv.slice(2), { stdout, stderr, env });
