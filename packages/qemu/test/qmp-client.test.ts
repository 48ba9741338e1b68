import { afterEach, expect, test } from 'vitest';
import { QmpClient } from '../src/qmp-client.ts';
import { QMP_LINE_BYTES_MAX } from '../src/qmp-lines.ts';
import { GREETING, QmpServer, type Script } from './qmp-server.ts';

let server: QmpServer | undefined;
let client: QmpClient | undefined;

afterEach(async () => {
  client?.close();
  await server?.close();
  client = server = undefined;
});

async function openTo(script: Script): Promise<QmpClient> {
  server = await QmpServer.polite(script);
  client = await QmpClient.open({ path: server.path });
  return client;
}

/** Opens a session with a server that need not be polite. */
async function opening(script: Script, timeoutMs?: number): Promise<unknown> {
  server = await QmpServer.start(script);
  return QmpClient.open({ path: server.path, timeoutMs });
}

const answer = (id: number | undefined, value: unknown) =>
  `${JSON.stringify({ return: value, id })}\r\n`;

test('asks, and gives each answer to its own command, in whatever order they come', async () => {
  const ids = new Map<string, number>();
  const qmp = await openTo((say, asked) => {
    ids.set(asked!.execute, asked!.id);
    if (ids.size < 2) return;
    say(answer(ids.get('b'), 'B') + answer(ids.get('a'), 'A'));
  });
  expect(await Promise.all([qmp.execute({ execute: 'a' }), qmp.execute({ execute: 'b' })])).toEqual(
    ['A', 'B'],
  );
});

test('tells what QEMU refuses, and goes on', async () => {
  const qmp = await openTo((say, asked) => {
    if (asked!.execute === 'good') say(answer(asked!.id, 1));
    else say(`{"id": ${asked!.id}, "error": {"class": "GenericError", "desc": "No such node"}}\n`);
  });
  await expect(qmp.execute({ execute: 'bad' })).rejects.toMatchObject({
    code: 'qmp-refused',
    message: expect.stringContaining('refused bad: No such node'),
  });
  expect(await qmp.execute({ execute: 'good' })).toBe(1);
});

test('hands over an event that comes ahead of the answer, and drops those nobody asked for', async () => {
  const qmp = await openTo((say, asked) => {
    say('{"event": "RESUME", "timestamp": {}}\n{"event": "JOB", "data": {"id": 1}}\n');
    say(`{"event": "JOB", "data": {"id": 2}}\n${answer(asked!.id, {})}`);
  });
  const event = qmp.event('job 2', ({ name, data }) => name === 'JOB' && data.id === 2);
  await qmp.execute({ execute: 'start' });
  expect(await event).toMatchObject({ name: 'JOB', data: { id: 2 } });
});

test('understands a session that is split at every byte', async () => {
  const word = 'Überlauf 💥';
  const text = Buffer.from(answer(2, word));
  for (let at = 0; at <= text.length; at += 1) {
    const qmp = await openTo((say) => {
      say(text.subarray(0, at));
      setImmediate(() => say(text.subarray(at)));
    });
    expect(await qmp.execute({ execute: 'split' })).toBe(word);
    qmp.close();
    await server?.close();
    server = undefined;
  }
});

test.each([
  ['no JSON', 'hello\n'],
  ['no object', '[1]\n'],
  ['an empty object', '{}\n'],
  ['an answer before it greets', '{"return": {}, "id": 1}\n'],
  ['an event before it greets', '{"event": "RESUME"}\n'],
  ['a greeting that is none', '{"QMP": 1}\n'],
  ['two greetings', GREETING + GREETING],
  ['an answer to nothing that was asked', `${GREETING}{"return": {}, "id": 77}\n`],
  ['an answer without an id', `${GREETING}{"return": {}}\n`],
  ['an error without an id', `${GREETING}{"error": {"class": "x", "desc": "y"}}\n`],
  ['an error without a reason', `${GREETING}{"error": {}, "id": 1}\n`],
  ['an event whose data is no object', `${GREETING}{"event": "X", "data": 3}\n`],
  ['bytes', `${'\0\xff'.repeat(100)}\n`],
])('refuses what sends %s', async (_, text) => {
  const opened = opening((say, asked) => asked === undefined && say(text));
  await expect(opened).rejects.toMatchObject({ code: 'qmp-garbage' });
});

test('refuses a line without end, and holds no more than a line of it', async () => {
  let sent = 0;
  const part = Buffer.alloc(256 * 1024, 'a');
  const opened = opening((say) => {
    for (; sent <= QMP_LINE_BYTES_MAX; sent += part.length) say(part);
  });
  await expect(opened).rejects.toMatchObject({
    code: 'qmp-garbage',
    message: expect.stringContaining('qmp-line-too-long'),
  });
});

test('takes a line of the greatest length', async () => {
  const around = answer(2, '').trim().length;
  const value = 'x'.repeat(QMP_LINE_BYTES_MAX - around - 1);
  const qmp = await openTo((say, asked) => say(answer(asked!.id, value)));
  expect(await qmp.execute({ execute: 'long' })).toBe(value);
});

test.each([
  ['a greeting', (() => {}) as Script],
  ['an answer to qmp_capabilities', ((say, asked) => !asked && say(GREETING)) as Script],
])('gives up on what never sends %s', async (what, script) => {
  await expect(opening(script, 50)).rejects.toMatchObject({
    code: 'qmp-timeout',
    message: expect.stringContaining(what),
  });
});

test('does not wait for ever for an event', async () => {
  server = await QmpServer.polite((say, asked) => say(answer(asked!.id, {})));
  client = await QmpClient.open({ path: server.path, timeoutMs: 50 });
  const event = client.event('the end of the job', () => false);
  await expect(event).rejects.toMatchObject({ code: 'qmp-timeout' });
  await expect(client.execute({ execute: 'x' })).rejects.toMatchObject({ code: 'qmp-timeout' });
});

test('tells all who wait when the connection is cut, and who comes later', async () => {
  const qmp = await openTo(() => server?.cut());
  const event = qmp.event('an event', () => true);
  const asked = [qmp.execute({ execute: 'a' }), qmp.execute({ execute: 'b' })];
  for (const one of [event, ...asked]) {
    await expect(one).rejects.toMatchObject({ code: 'qmp-closed' });
  }
  await expect(qmp.execute({ execute: 'c' })).rejects.toMatchObject({ code: 'qmp-closed' });
  await expect(qmp.event('more', () => true)).rejects.toMatchObject({ code: 'qmp-closed' });
});

test('says that nobody is there, where there is no socket', async () => {
  const opened = QmpClient.open({ path: '/nonexistent/qmp.sock' });
  await expect(opened).rejects.toMatchObject({
    code: 'qmp-unreachable',
    message: expect.stringMatching(/\/nonexistent\/qmp\.sock: .*ENOENT/),
  });
});
