#!/usr/bin/env node
/** The process of the `bootswarm` command: its arguments, its terminal, its exit code. */
import { runCli } from './cli.ts';

const { stdout, stderr, env } = process;
process.exitCode = await runCli(process.argv.slice(2), { stdout, stderr, env });
