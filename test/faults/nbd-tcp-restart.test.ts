/** A port or a certificate of NBD over TCP that is gone when the agent is restarted: guests of this host come first. */
import { renameSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { nextServing, servingPid } from '../agent-killer.ts';
import { bootswarm, Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeCertificates } from '../interop/tls-certificates.ts';
import { makeTestImage } from '../test-image.ts';

let cluster: Cluster;
let squatter: Server | undefined;

afterEach(async () => {
  squatter?.close();
  squatter = undefined;
  await cluster.stop();
});

function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

async function freePort(): Promise<number> {
  const server = await listenOn(0);
  const { port } = server!.address() as { port: number };
  await new Promise((resolve) => server!.close(resolve));
  return port;
}

async function attachedAgent(args: readonly string[]): Promise<[TestAgent, string]> {
  const agent = await cluster.addAgent('tcp', ['--holder', 'yes', ...args]);
  const raw = join(cluster.directory, 'image.raw');
  makeTestImage(raw, 1024 * 1024);
  const image = await cluster.publish(raw, 'test');
  await agent.attach(image);
  return [agent, `nbd+unix:///${image}?socket=${join(agent.runDir, 'nbd.sock')}`];
}

test('an agent whose TCP port was taken while it was away serves its guests, says why, and listens again', async () => {
  cluster = await Cluster.start(0);
  const port = await freePort();
  const [agent, local] = await attachedAgent(['--nbd-tcp', `127.0.0.1:${port}`, '--nbd-tcp-plain']);
  // The next one has to wait for its holder, and we have the port meanwhile.
  await agent.kill('SIGSTOP');
  const killed = servingPid(agent)!;
  process.kill(killed, 'SIGKILL');
  squatter = await until('the port is free', () => listenOn(port));
  await agent.kill('SIGCONT');
  await nextServing(agent, killed);
  const { code } = await run('nbdinfo', [local]);
  expect(code).toBe(0);
  const { nbd } = await agent.status();
  expect(nbd).toMatchObject({ tcpError: expect.stringContaining('EADDRINUSE') });
  expect(nbd.address).toBeUndefined();
  squatter.close();
  await until('it listens again', async () => (await agent.status()).nbd.address !== undefined);
  expect((await agent.status()).nbd.tcpError).toBeUndefined();
});

test('an agent whose certificate is gone serves its guests, and takes the next one that is there', async () => {
  cluster = await Cluster.start(0);
  const { serverCertificate, serverKey } = await makeCertificates(join(cluster.directory, 'pki'));
  const tls = ['--nbd-tls-cert', serverCertificate, '--nbd-tls-key', serverKey];
  const [agent, local] = await attachedAgent(['--nbd-tcp', '127.0.0.1:0', ...tls]);
  renameSync(serverCertificate, `${serverCertificate}.away`);
  const killed = servingPid(agent)!;
  process.kill(killed, 'SIGKILL');
  await nextServing(agent, killed);
  expect((await run('nbdinfo', [local])).code).toBe(0);
  const { stdout } = await bootswarm('status', '--run', agent.runDir);
  expect(stdout).toMatch(/not on TCP: .*certificate/);
  renameSync(`${serverCertificate}.away`, serverCertificate);
  await until('it listens again', async () => (await agent.status()).nbd.address !== undefined);
});
