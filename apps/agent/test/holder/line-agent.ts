/**
 * A program that a socket holder runs in tests: its side of the holder is the agent's own, and over the NBD socket it serves
 * lines. argv: a JSON file that stands for the code on the disk, read while it loads.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { HolderLink, inheritedSockets } from '../../src/holder/index.ts';

export interface LineAgentCode {
  readonly version: string;
  /** Ends while it loads, or as soon as it is to serve, whatever it was when it was loaded. */
  readonly fails?: 'loading' | 'serving';
}

const EXIT_CODES = { loading: 3, serving: 4 };

function onDisk(): LineAgentCode {
  return JSON.parse(readFileSync(process.argv[2], 'utf8')) as LineAgentCode;
}

const code = onDisk();
const { pid, ppid } = process;
const sockets = inheritedSockets(process.env, { pid, ppid })!;
const link = HolderLink.ofThisProcess()!;
if (code.fails === 'loading') process.exit(EXIT_CODES.loading);
await link.turn();
if (onDisk().fails === 'serving') process.exit(EXIT_CODES.serving);

const server = createServer((client) => {
  client.on('error', () => {});
  client.on('data', (line) => void answer(`${line}`.trim()).then((text) => client.end(text)));
});

async function answer(line: string): Promise<string> {
  if (line === 'die') process.kill(pid, 'SIGKILL');
  if (line === 'successor') return `${link.successorPid}`;
  if (line === 'node') return JSON.stringify({ flags: process.execArgv, env: process.env });
  if (line !== 'upgrade') return `${code.version} ${pid}`;
  try {
    await link.prepareSuccessor();
    setImmediate(leave);
    return 'leaving';
  } catch (error) {
    return (error as Error).message;
  }
}

function leave(): void {
  server.close();
  link.close();
}

process.on('SIGTERM', () => process.exit(7));
process.on('SIGUSR2', leave);
server.listen({ fd: sockets.nbd }, () => link.serving());
