/** NBD over TCP: TLS with the clients it is for, and what an agent does with those who come without. */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CLIENT_FLAGS,
  GREETING,
  infoData,
  OPTION,
  option,
  REP,
} from '../../packages/nbd-proto/test/wire.ts';
import { bootswarm, Cluster, run, type TestAgent } from '../cluster.ts';
import { attack, targetOf } from '../faults/attack.ts';
import { makeTestImage } from '../test-image.ts';
import { type Certificates, makeCertificates } from './tls-certificates.ts';

const MIB = 1024 * 1024;
const LENGTH = 6 * MIB + 512;
const TCP = ['--nbd-tcp', '127.0.0.1:0'];

let cluster: Cluster;
let ours: Certificates;
let theirs: Certificates;
/** Clients must show a certificate; need not; without TLS. */
let strict: TestAgent;
let lenient: TestAgent;
let plain: TestAgent;
let source: string;
let image: string;
/** Whoever asks for TLS and then says nothing has 10 s; the other tests go on meanwhile. */
let silent: Promise<Buffer>;

beforeAll(async () => {
  cluster = await Cluster.start(0);
  ours = await makeCertificates(join(cluster.directory, 'pki'));
  theirs = await makeCertificates(join(cluster.directory, 'other-pki'));
  const server = ['--nbd-tls-cert', ours.serverCertificate, '--nbd-tls-key', ours.serverKey];
  strict = await cluster.addAgent('strict', [...TCP, ...server, '--nbd-tls-ca', ours.ca]);
  lenient = await cluster.addAgent('lenient', [...TCP, ...server]);
  plain = await cluster.addAgent('plain', [...TCP, '--nbd-tcp-plain']);
  silent = attack(targetOf(await addressOf(strict)), CLIENT_FLAGS, option(OPTION.starttls));
  silent.catch(() => {});
  source = join(cluster.directory, 'source.raw');
  makeTestImage(source, LENGTH);
  image = await cluster.publish(source, 'remote');
  for (const agent of cluster.agents) await agent.attach(image);
});

afterAll(() => cluster.stop());

async function addressOf(agent: TestAgent): Promise<string> {
  return (await agent.status()).nbd.address!;
}

async function uriOf(agent: TestAgent, certificates: string): Promise<string> {
  return `nbds://${await addressOf(agent)}/${image}?tls-certificates=${certificates}`;
}

/** What trusts our CA and shows no certificate. */
function withoutCertificate(): string {
  const directory = join(cluster.directory, 'nobody');
  mkdirSync(directory, { recursive: true });
  copyFileSync(ours.ca, join(directory, 'ca-cert.pem'));
  return directory;
}

/** What trusts our CA and shows a certificate of another. */
function withForeignCertificate(): string {
  const directory = join(cluster.directory, 'foreigner');
  mkdirSync(directory, { recursive: true });
  copyFileSync(ours.ca, join(directory, 'ca-cert.pem'));
  for (const name of ['client-cert.pem', 'client-key.pem']) {
    copyFileSync(join(theirs.directory, name), join(directory, name));
  }
  return directory;
}

async function nbdinfo(uri: string) {
  return run('nbdinfo', ['--json', uri]);
}

describe('over TLS', () => {
  test('nbdinfo sees TLS, and all that it sees without', async () => {
    const { stdout } = await nbdinfo(await uriOf(strict, ours.directory));
    const info = JSON.parse(stdout);
    expect(info).toMatchObject({ protocol: 'newstyle-fixed', TLS: true, structured: true });
    expect(info.exports).toMatchObject([
      { 'export-name': image, 'export-size': LENGTH, contexts: ['base:allocation'] },
    ]);
  });

  test('nbdcopy copies the image byte for byte over several connections', async () => {
    const copy = join(cluster.directory, 'copy.raw');
    const uri = await uriOf(strict, ours.directory);
    expect(await run('nbdcopy', ['--connections=4', uri, copy])).toMatchObject({ code: 0 });
    expect(readFileSync(copy).equals(readFileSync(source))).toBe(true);
  });

  test('qemu-img compares it with the original, and qemu-nbd lists it', async () => {
    const [host, port] = (await addressOf(strict)).split(':');
    const credentials = `tls-creds-x509,id=tls0,endpoint=client,dir=${ours.directory}`;
    const at = `driver=nbd,host=${host},port=${port},export=${image},tls-creds=tls0`;
    const options = [
      '--object',
      credentials,
      '--image-opts',
      `driver=raw,file.${at.replaceAll(',', ',file.')}`,
    ];
    const local = `driver=raw,file.driver=file,file.filename=${source}`;
    expect(await run('qemu-img', ['compare', ...options, local])).toMatchObject({ code: 0 });
    const listed = await run('qemu-nbd', [
      ...['--list', '--object', credentials, '--tls-creds', 'tls0', '-b', host, '-p', port],
    ]);
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining(image) });
  });

  test.each([
    ['no certificate', withoutCertificate],
    ['a certificate of another CA', withForeignCertificate],
  ])(
    'a client with %s is refused where there is a CA, and served where there is none',
    async (_, made) => {
      const refused = await nbdinfo(await uriOf(strict, made()));
      expect(refused.code).not.toBe(0);
      expect(refused.stdout).not.toContain(image);
      const served = await nbdinfo(await uriOf(lenient, made()));
      expect(JSON.parse(served.stdout)).toMatchObject({ TLS: true });
    },
  );

  test('a client does not take another for this server', async () => {
    const { code, stderr } = await nbdinfo(await uriOf(lenient, theirs.directory));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/certificate/i);
  });
});

describe('without TLS', () => {
  test('a client is told that TLS is required, and nothing else', async () => {
    const address = await addressOf(strict);
    const { code, stderr } = await run('qemu-img', ['info', `nbd://${address}/${image}`]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/TLS/);
    const answer = await attack(
      targetOf(address),
      ...[CLIENT_FLAGS, option(OPTION.list), option(OPTION.go, infoData(image))],
      option(OPTION.abort),
    );
    const replies = answer.subarray(GREETING.length);
    expect([replies.readUInt32BE(8), replies.readUInt32BE(12)]).toEqual([3, REP.errTlsReqd]);
    expect(answer.toString('latin1')).not.toContain(image);
  });

  test('a client is served where the operator has said so', async () => {
    const { stdout } = await nbdinfo(`nbd://${await addressOf(plain)}/${image}`);
    expect(JSON.parse(stdout)).toMatchObject({ TLS: false, exports: [{ 'export-size': LENGTH }] });
  });

  test('an option sent in the clear behind STARTTLS cuts the client off before any answer', async () => {
    const injected = [option(OPTION.starttls), option(OPTION.structuredReply)];
    const bytes = Buffer.concat([CLIENT_FLAGS, ...injected]);
    expect(await attack(targetOf(await addressOf(strict)), bytes)).toEqual(Buffer.from(GREETING));
  });

  test('what is sent in the clear once STARTTLS is granted is no TLS: the client is cut off', async () => {
    const { host, port } = targetOf(await addressOf(strict)) as { host: string; port: number };
    const socket = connect({ host, port });
    socket.on('error', () => {});
    const received: Buffer[] = [];
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.write(Buffer.concat([CLIENT_FLAGS, option(OPTION.starttls)]));
    socket.on('data', (bytes) => {
      received.push(bytes);
      const { length } = Buffer.concat(received);
      if (length === GREETING.length + 20) socket.write(option(OPTION.list));
    });
    await closed;
    // A TLS alert may have come, and no option reply.
    const answer = Buffer.concat(received).subarray(GREETING.length + 20);
    expect(answer.length).toBeLessThan(20);
    expect((await nbdinfo(await uriOf(strict, ours.directory))).code).toBe(0);
  });
});

test('a client that is granted TLS and then says nothing is closed', async () => {
  expect((await silent).subarray(0, GREETING.length)).toEqual(Buffer.from(GREETING));
});

describe('an agent', () => {
  test('listens for no NBD client on TCP unless it is told to', async () => {
    const quiet = await cluster.addAgent('quiet');
    expect((await quiet.status()).nbd.address).toBeUndefined();
    const { stdout } = await run('ss', ['--tcp', '--listening', '--numeric', '--processes']);
    const listening = stdout.split('\n').filter((line) => line.includes(`pid=${quiet.pid},`));
    const { peerAddress } = await quiet.status();
    expect(listening).toHaveLength(1);
    expect(listening[0]).toContain(peerAddress);
  });

  const misused: [string, () => string[], RegExp][] = [
    ['no TLS files', () => TCP, /--nbd-tcp needs TLS/],
    ['no key', () => [...TCP, '--nbd-tls-cert', ours.serverCertificate], /--nbd-tcp needs TLS/],
    [
      'TLS files and no address',
      () => ['--nbd-tls-cert', ours.serverCertificate, '--nbd-tls-key', ours.serverKey],
      /are for TCP/,
    ],
    ['no address, and no TLS', () => ['--nbd-tcp-plain'], /are for TCP/],
    ['TLS and no TLS', () => [...TCP, '--nbd-tcp-plain', '--nbd-tls-ca', ours.ca], /means no TLS/],
  ];
  const unavailable: [string, () => string[], RegExp][] = [
    [
      'a file that is not there',
      () => [...TCP, '--nbd-tls-cert', '/nonexistent', '--nbd-tls-key', ours.serverKey],
      /Cannot read the TLS certificate.*\/nonexistent/,
    ],
    [
      'a key of another certificate',
      () => [...TCP, '--nbd-tls-cert', ours.serverCertificate, '--nbd-tls-key', theirs.serverKey],
      /Cannot use the TLS certificate/,
    ],
    [
      'a port that is taken',
      () => ['--nbd-tcp', new URL(cluster.url).host, '--nbd-tcp-plain'],
      /Cannot listen for NBD clients on 127\.0\.0\.1/,
    ],
  ];
  test.each([
    ...misused.map((each) => [...each, true] as const),
    ...unavailable.map((each) => [...each, false] as const),
  ])('does not start with %s, and says why', async (_, args, message, isMisused) => {
    const directories = ['--cache', 'c', '--run', 'r'].map((each) =>
      each.startsWith('--') ? each : join(cluster.directory, each),
    );
    const own = ['--tracker', cluster.url, '--listen', '127.0.0.1:0', ...directories];
    const { code, stderr } = await bootswarm('agent', ...own, '--log-level', 'silent', ...args());
    // Options that do not go together are not tried again by systemd, files that are not there yet are.
    expect(code).toBe(isMisused ? 2 : 3);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/→ /);
  });
});
