import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LEAN_NODE_ENV, LEAN_NODE_FLAGS } from '@bootswarm/stdx';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bindNbdSocket, bindPeerSocket } from '../../src/holder/bound-socket.ts';
import { type HolderEvent, SocketHolder } from '../../src/holder/socket-holder.ts';
import type { LineAgentCode } from './line-agent.ts';

const LINE_AGENT = fileURLToPath(new URL('./line-agent.ts', import.meta.url));

let directory: string;
let path: string;
let holder: SocketHolder;
let ended: Promise<number>;
let events: HolderEvent[];
let onEvent: (event: HolderEvent) => void;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holder-'));
  path = join(directory, 'nbd.sock');
  events = [];
  onEvent = () => {};
});

afterEach(async () => {
  holder.stop('SIGTERM');
  await ended;
  rmSync(directory, { recursive: true });
});

function install(code: LineAgentCode): void {
  writeFileSync(join(directory, 'code.json'), JSON.stringify(code));
}

/** Starts a holder whose first agent has this code. */
async function start(code: LineAgentCode): Promise<void> {
  install(code);
  holder = new SocketHolder({
    sockets: [await bindNbdSocket(path), await bindPeerSocket('127.0.0.1', 0)],
    command: [LINE_AGENT, join(directory, 'code.json')],
    onEvent: (event) => {
      events.push(event);
      onEvent(event);
    },
  });
  ended = holder.run();
}

async function run(code: LineAgentCode): Promise<void> {
  await start(code);
  await next('serving');
}

/** Sends a line and resolves with the answer: empty when it was cut. Waits for as long as nobody serves. */
function say(line: string): Promise<string> {
  const client = connect(path);
  let text = '';
  client.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  // A cut shows up as ECONNRESET; what matters is that there was no answer.
  client.on('error', () => {});
  client.write(`${line}\n`);
  return new Promise((resolve) => client.on('close', () => resolve(text)));
}

/** The next event of a type. */
function next(type: HolderEvent['type']): Promise<HolderEvent> {
  return new Promise((resolve) => {
    onEvent = (event) => {
      if (event.type === type) resolve(event);
    };
  });
}

test('an agent runs on a lean Node', async () => {
  await run({ version: 'one' });
  const { flags, env } = JSON.parse(await say('node'));
  expect(flags).toEqual(expect.arrayContaining([...LEAN_NODE_FLAGS]));
  expect(env).toMatchObject(LEAN_NODE_ENV);
});

test('a client that connects while no agent runs is served by the next', async () => {
  await run({ version: 'one' });
  const first = await say('who');
  expect(first).toMatch(/^one \d+$/);
  for (let turn = 0, before = first; turn < 3; turn += 1) {
    const died = next('agent-died');
    expect(await say('die')).toBe('');
    const after = await say('who');
    expect(after).toMatch(/^one \d+$/);
    expect(after).not.toBe(before);
    expect(await died).toMatchObject({ type: 'agent-died', how: 'was ended by SIGKILL' });
    before = after;
  }
});

test('an agent knows which successor waits for its end, for people who ask', async () => {
  await run({ version: 'one' });
  const waiting = await next('successor-waits');
  const told = async (): Promise<string> => {
    const answer = await say('successor');
    return answer === 'null' ? told() : answer;
  };
  expect(await told()).toBe(`${waiting.type === 'successor-waits' && waiting.agentPid}`);
});

test('ends as the first agent does when that cannot even begin', async () => {
  await start({ version: 'one', fails: 'serving' });
  expect(await ended).toBe(4);
  expect(existsSync(path)).toBe(false);
  expect(events).toEqual([]);
});

test('waits longer and longer for agents that die as soon as they are to serve', async () => {
  await run({ version: 'one' });
  install({ version: 'two', fails: 'serving' });
  const delays: number[] = [];
  const threeWaits = new Promise<void>((resolve) => {
    onEvent = (event) => {
      if (event.type === 'agent-died' && event.delayMs > 0) delays.push(event.delayMs);
      if (delays.length === 3) resolve();
    };
  });
  await say('die');
  await threeWaits;
  expect(delays).toEqual([100, 200, 400]);
  install({ version: 'three' });
  expect(await say('who')).toMatch(/^three/);
});

test('passes a signal on and ends with the exit code of the agent', async () => {
  await run({ version: 'one' });
  holder.stop('SIGTERM');
  expect(await ended).toBe(7);
  expect(existsSync(path)).toBe(false);
});

test('ends when the agent ends on purpose', async () => {
  await run({ version: 'one' });
  process.kill(Number((await say('who')).split(' ')[1]), 'SIGUSR2');
  expect(await ended).toBe(0);
});

test('an upgrade replaces the agent by what is on the disk now', async () => {
  await run({ version: 'one' });
  install({ version: 'two' });
  expect(await say('upgrade')).toBe('leaving');
  expect(await say('who')).toMatch(/^two/);
  const types = events.map(({ type }) => type).filter((type) => type !== 'successor-waits');
  expect(types).toEqual(['serving', 'upgrading', 'serving']);
});

test('an upgrade to what does not even load leaves the agent in place', async () => {
  await run({ version: 'one' });
  const before = await say('who');
  install({ version: 'two', fails: 'loading' });
  expect(await say('upgrade')).toMatch(/did not come up: it ended with code 3/);
  expect(await say('who')).toBe(before);
  install({ version: 'three' });
  expect(await say('upgrade')).toBe('leaving');
  expect(await say('who')).toMatch(/^three/);
});

test('a failed upgrade leaves the successor in place too, which can serve without what is on the disk', async () => {
  await start({ version: 'one' });
  await next('successor-waits');
  install({ version: 'two', fails: 'loading' });
  expect(await say('upgrade')).toMatch(/did not come up/);
  expect(await say('die')).toBe('');
  expect(await say('who')).toMatch(/^one/);
  install({ version: 'three' });
  expect(await say('upgrade')).toBe('leaving');
  expect(await say('who')).toMatch(/^three/);
});
