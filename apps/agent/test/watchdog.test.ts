import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';

const WATCHDOG = new URL('../src/watchdog.ts', import.meta.url).href;
/** Answers a line with a line, until it is told to get stuck. */
const PROGRAM = `
  import { startWatchdog } from '${WATCHDOG}';
  startWatchdog(1);
  process.stdin.on('data', (line) => {
    if (String(line) === 'stick') for (;;);
    process.stdout.write(line);
  });
  process.stdout.write('up');
`;

let children: ChildProcess[];

beforeEach(() => {
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
});

async function start(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM]);
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

/** Resolves when the watchdog of a process that gets stuck now has ended it: a second and more. */
async function stuckAndEnded(): Promise<{ signal: unknown; told: string }> {
  const child = await start();
  let told = '';
  child.stderr!.on('data', (text) => {
    told += text;
  });
  const closed = once(child, 'close');
  child.stdin!.write('stick');
  const [, signal] = await closed;
  return { signal, told };
}

async function answers(child: ChildProcess): Promise<boolean> {
  child.stdin!.write('there?');
  return String((await once(child.stdout!, 'data'))[0]) === 'there?';
}

test('aborts a process whose event loop is stuck, and says so', async () => {
  const { signal, told } = await stuckAndEnded();
  expect(signal).toBe('SIGABRT');
  expect(JSON.parse(told)).toMatchObject({
    level: 60,
    name: 'watchdog',
    msg: 'event loop stuck for 1 s: aborting',
  });
});

test('leaves a process alone that was stopped for longer, and one that works', async () => {
  const [stopped, working] = [await start(), await start()];
  stopped.kill('SIGSTOP');
  await stuckAndEnded();
  stopped.kill('SIGCONT');
  await stuckAndEnded();
  expect(await answers(stopped)).toBe(true);
  expect(await answers(working)).toBe(true);
});
