import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bindNbdSocket, bindPeerSocket } from '../../src/holder/bound-socket.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bound-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

test('binds a unix socket without listening, for user and group, and removes it again', async () => {
  const path = join(directory, 'nbd.sock');
  const socket = await bindNbdSocket(path);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  const client = connect(path);
  expect((await once(client, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
  socket.close();
  expect(existsSync(path)).toBe(false);
});

test('listens on what is bound, at the port that was chosen', async () => {
  const socket = await bindPeerSocket('127.0.0.1', 0);
  const server = createServer((client) => client.end()).listen({ fd: socket.fd });
  await once(server, 'listening');
  const { port, address } = server.address() as AddressInfo;
  expect(address).toBe('127.0.0.1');
  expect(port).toBeGreaterThan(0);
  await once(connect(port, '127.0.0.1').resume(), 'close');
  server.close();
});

test.each([
  ['an address of another host', '192.0.2.1', 0, /192\.0\.2\.1:0: EADDRNOTAVAIL/],
  ['no host', 'no-such-host.invalid', 0, /no-such-host\.invalid:0: .*(ENOTFOUND|EAI_AGAIN)/],
])('refuses %s', async (_, host, port, message) => {
  await expect(bindPeerSocket(host, port)).rejects.toThrow(message);
});

test('refuses a port that is taken', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  await expect(bindPeerSocket('127.0.0.1', port)).rejects.toMatchObject({
    code: 'peer-port-unavailable',
    message: expect.stringContaining('EADDRINUSE'),
  });
  taken.close();
});
