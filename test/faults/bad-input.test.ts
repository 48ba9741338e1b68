/** What people get wrong at the command line: each costs a message with a next step, and nothing else. */
import { mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInfo, openSignedMetainfo } from '@bootswarm/metainfo';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bootswarm, Cluster, run, TestAgent } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { catalogueOf, expectRefusal, readHead } from './refusal.ts';

const MIB = 1024 * 1024;
const HEAD_LENGTH = 128 * 1024;

let cluster: Cluster;
let agent: TestAgent;
let source: string;
let image: string;
let before: Awaited<ReturnType<typeof catalogueOf>>;
let server: Server;
let web: string;
/** Its image is given six attempts over 15 s, in which the tests go on with a tracker of their own. */
let patient: Cluster;
let cutShort: Promise<unknown>;

beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url !== '/short.raw') return response.writeHead(404).end();
    response.writeHead(200, { 'content-length': 2 * MIB });
    return response.write(Buffer.alloc(MIB, 7), () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  web = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  patient = await Cluster.start(0);
  cutShort = expectRefusal(
    ['publish', `${web}/short.raw`, '--tracker', patient.url],
    /short\.raw failed 6 times/,
  ).catch((error: unknown) => error);
  cluster = await Cluster.start(1);
  [agent] = cluster.agents;
  source = path('source.raw');
  makeTestImage(source, 4 * MIB);
  image = await cluster.publish(source, 'base');
  await agent.attach(image);
});

afterAll(async () => {
  server.close();
  await patient.stop();
  await cluster.stop();
});

beforeEach(async () => {
  before = await catalogueOf(cluster);
});

afterEach(async () => {
  expect(await catalogueOf(cluster)).toEqual({ ...before, staged: [] });
  const head = readFileSync(source).subarray(0, HEAD_LENGTH);
  expect(head.equals(await readHead(agent, image, HEAD_LENGTH))).toBe(true);
});

function path(name: string): string {
  return join(cluster.directory, name);
}

function publish(...args: string[]): string[] {
  return ['publish', ...args, '--tracker', cluster.url];
}

function onAgent(...args: string[]): string[] {
  return [...args, '--run', agent.runDir];
}

async function qemuImg(...args: string[]): Promise<void> {
  expect(await run('qemu-img', args)).toMatchObject({ code: 0 });
}

describe('publish refuses', () => {
  test('a file that is not there', async () => {
    await expectRefusal(publish(path('nothing.raw')), /cannot publish .*nothing\.raw: ENOENT/);
  });

  test('an empty file', async () => {
    writeFileSync(path('empty.raw'), '');
    await expectRefusal(publish(path('empty.raw')), /empty\.raw has no bytes/);
  });

  test('a directory', async () => {
    mkdirSync(path('folder'));
    await expectRefusal(publish(path('folder')), /folder is neither a file nor a block device/);
  });

  test('a qcow2 image that was cut short', async () => {
    const file = path('cut.qcow2');
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', source, file);
    truncateSync(file, MIB);
    await expectRefusal(publish(file), /cut\.qcow2/);
  });

  test('a qcow2 image with a backing file, whatever format it is called', async () => {
    const file = path('backed.qcow2');
    await qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', source, file);
    await expectRefusal(publish(file), /backed\.qcow2.* backing file/);
    await expectRefusal(publish(file, '--format', 'qcow2'), /backed\.qcow2.* backing file/);
  });

  test('a qcow2 image that is called raw, copied or in place', async () => {
    const file = path('disk.qcow2');
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', source, file);
    await expectRefusal(publish(file, '--format', 'raw'), /disk\.qcow2.*qcow2/);
    await expectRefusal(publish(file, '--format', 'raw', '--in-place'), /disk\.qcow2.*qcow2/);
    await expectRefusal(publish(file, '--in-place'), /disk\.qcow2.*flattened/);
  });

  test('a raw image that is called qcow2', async () => {
    await expectRefusal(publish(source, '--format', 'qcow2'), /source\.raw/);
  });

  test('a name that another image has, and a name that is none', async () => {
    makeTestImage(path('other.raw'), MIB, 2);
    await expectRefusal(publish(path('other.raw'), '--name', 'base'), /"base" belongs to another/);
    await expectRefusal(publish(path('other.raw'), '--name', '../x'), /cannot name an image/);
  });

  test('anything without the admin token, or with a wrong one', async () => {
    const token = join(cluster.dataDir, 'admin.token');
    renameSync(token, `${token}.away`);
    try {
      await expectRefusal(publish(source), /admin token.*ENOENT/, { BOOTSWARM_TOKEN: '' });
    } finally {
      renameSync(`${token}.away`, token);
    }
    const wrong = { BOOTSWARM_TOKEN: 'x'.repeat(43) };
    await expectRefusal(publish(source), /is not the admin token/, wrong);
    const { status } = await fetch(`${cluster.url}/v1/images`, { method: 'POST' });
    expect(status).toBe(401);
  });
});

describe('publish from a web server refuses', () => {
  test('a URL that the server does not know', async () => {
    await expectRefusal(publish(`${web}/none.raw`), /none\.raw does not exist: HTTP 404/);
  });

  test('a URL of something that is no web server', async () => {
    await expectRefusal(publish('ftp://127.0.0.1/image.raw'), /ftp:/);
  });
});

describe('a second daemon is refused', () => {
  const anyPort = ['--listen', '127.0.0.1:0'];

  test('a tracker on the data of another', async () => {
    const args = ['tracker', '--data', cluster.dataDir, '--origin-listen', '127.0.0.1:0'];
    const holder = new RegExp(`in use by process ${cluster.tracker.pid}`);
    await expectRefusal([...args, ...anyPort], holder);
  });

  test('a tracker on the port of another, and its origin is not left running', async () => {
    const data = path('other-data');
    const address = new URL(cluster.url).host;
    const args = ['tracker', '--data', data, '--origin-listen', '127.0.0.1:0'];
    await expectRefusal([...args, '--listen', address], /Cannot listen on .*EADDRINUSE/);
    const { pid } = JSON.parse(readFileSync(join(data, 'origin.log'), 'utf8').split('\n')[0]);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  test('an agent on the cache of another', async () => {
    const args = ['agent', '--tracker', cluster.url, '--node', 'second', ...anyPort];
    const holder = new RegExp(`in use by process ${agent.pid}`);
    await expectRefusal([...args, '--run', path('run2'), '--cache', agent.cacheDir], holder);
  });

  test('an agent with the run directory of another', async () => {
    const args = ['agent', '--tracker', cluster.url, '--node', 'second', ...anyPort];
    await expectRefusal(
      [...args, '--run', agent.runDir, '--cache', path('cache2')],
      /another process serves .*nbd\.sock/,
    );
    // The other way to reach the first one is still there too.
    expect(await agent.status()).toMatchObject({ pid: agent.pid });
    expect(readFileSync(join(agent.runDir, 'agent.json'), 'utf8')).toContain(`${agent.pid}`);
  });
});

describe('an image', () => {
  const UNKNOWN = 'f'.repeat(40);

  test.each(['nothing', UNKNOWN, 'ffff', '../../healthz', '%2e%2e'])(
    '%s is known to nobody',
    async (name) => {
      await expectRefusal(['withdraw', name, '--tracker', cluster.url], /no image/);
      await expectRefusal(onAgent('attach', name), /no image/);
      await expectRefusal(onAgent('detach', name), /no image/);
      await expectRefusal(onAgent('vm', 'create', name, '--name', 'vm1'), /no image/);
      expect(await agent.get('/v1/vms')).toEqual({ vms: [] });
    },
  );

  test('is not guessed from the beginning of two ids', async () => {
    const [first, second] = await namesWithOnePrefix();
    const ids = [await cluster.publish(source, first), await cluster.publish(source, second)];
    const prefix = ids[0].slice(0, 4);
    expect(ids[1].slice(0, 4)).toBe(prefix);
    try {
      const ambiguous = new RegExp(`2 images have ids that begin with ${prefix}`);
      await expectRefusal(['withdraw', prefix, '--tracker', cluster.url], ambiguous);
      await expectRefusal(onAgent('attach', prefix), ambiguous);
      await expectRefusal(onAgent('vm', 'create', prefix, '--name', 'vm1'), ambiguous);
      for (const id of ids) await agent.attach(id);
      await expectRefusal(onAgent('detach', prefix), /may be any of/);
      // One more digit than both have in common is enough.
      const shared = [...ids[0]].findIndex((digit, index) => digit !== ids[1][index]);
      for (const id of ids) {
        const detached = await bootswarm(...onAgent('detach', id.slice(0, shared + 1)));
        expect(detached).toMatchObject({ code: 0 });
      }
    } finally {
      for (const id of ids) await bootswarm('withdraw', id, '--tracker', cluster.url);
    }
  });

  test('that is not attached cannot be detached', async () => {
    makeTestImage(path('loose.raw'), MIB, 3);
    const loose = await cluster.publish(path('loose.raw'), 'loose');
    await agent.attach(loose);
    expect(await bootswarm(...onAgent('detach', 'loose'))).toMatchObject({ code: 0 });
    await expectRefusal(onAgent('detach', 'loose'), /loose is not attached/);
    expect(await bootswarm('withdraw', loose, '--tracker', cluster.url)).toMatchObject({ code: 0 });
  });

  /** The id is made of the name too, so among some hundred names two begin with the same four digits. */
  async function namesWithOnePrefix(): Promise<[string, string]> {
    const answer = await fetch(`${cluster.url}/v1/images/${image}/metainfo`);
    const { metainfo } = openSignedMetainfo(new Uint8Array(await answer.arrayBuffer()));
    const { length, pieceLength, piecesRoot } = metainfo;
    const nameOf = new Map<string, string>();
    for (let index = 0; ; index += 1) {
      const name = `copy-${index}`;
      const { imageId } = createInfo({ name, length, pieceLength, piecesRoot });
      const other = nameOf.get(imageId.slice(0, 4));
      if (other !== undefined) return [other, name];
      nameOf.set(imageId.slice(0, 4), name);
    }
  }
});

describe('a VM', () => {
  afterAll(() => bootswarm(...onAgent('vm', 'rm', 'taken')));

  test.each(['', '../x', '-x', 'a b', 'x'.repeat(64), 'ö'])('is not called %j', async (name) => {
    await expectRefusal(onAgent('vm', 'create', 'base', `--name=${name}`), /name/);
    expect(await agent.get('/v1/vms')).toEqual({ vms: [] });
  });

  test('is not created twice', async () => {
    const { overlay } = await agent.createVm('base', 'taken');
    const made = readFileSync(overlay);
    await expectRefusal(onAgent('vm', 'create', 'base', '--name', 'taken'), /already a VM taken/);
    expect(readFileSync(overlay).equals(made)).toBe(true);
  });

  test('is not smaller than its image', async () => {
    const create = onAgent('vm', 'create', 'base', '--name', 'small', '--size', '1M');
    await expectRefusal(create, /VM small cannot have 1048576 bytes/);
  });

  test('is not removed where it is not', async () => {
    await expectRefusal(onAgent('vm', 'rm', 'nobody'), /no VM "nobody"/);
    await expectRefusal(onAgent('vm', 'rm', '../taken'), /no VM/);
  });
});

describe('a daemon that is not there', () => {
  const NOBODY = 'http://127.0.0.1:1';

  test.each(['images', 'nodes', 'withdraw base', 'publish /dev/null'])(
    'is missed by %s',
    async (command) => {
      await expectRefusal(
        [...command.split(' '), '--tracker', NOBODY],
        /cannot reach the tracker at .*:1\b/,
      );
    },
  );

  test.each(['status', 'attach base', 'detach base', 'vm ls', 'vm rm x'])(
    'is missed by %s',
    async (command) => {
      const run = path('no-agent');
      await expectRefusal(
        [...command.split(' '), '--run', run],
        /cannot reach the agent at .*no-agent/,
      );
    },
  );

  test('is named by an agent that needs its tracker', async () => {
    const alone = new TestAgent('alone', cluster.directory, NOBODY, []);
    await alone.start();
    try {
      await expectRefusal(['attach', 'base', '--run', alone.runDir], /tracker at .*:1 does not/);
      expect(await alone.status()).toMatchObject({ tracker: { isConnected: false }, images: [] });
    } finally {
      await alone.kill('SIGTERM');
    }
  });
});

describe('a download', () => {
  test('that is shorter than the server said is given up, and nothing of it is kept', async () => {
    expect(await cutShort).not.toBeInstanceOf(Error);
    expect(await catalogueOf(patient)).toEqual({ images: [], onDisk: [], staged: [] });
  });
});
