import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Cluster, run, type TestAgent, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';

const MIB = 1024 * 1024;
const PEER = new URL('./libtorrent-peer.py', import.meta.url).pathname;

let cluster: Cluster;
let peers: ChildProcessWithoutNullStreams[] = [];

afterEach(async () => {
  for (const peer of peers) peer.kill('SIGKILL');
  peers = [];
  await cluster.stop();
});

/** Resolves with what waits for a line of its output. */
function startPeer(
  torrent: string,
  directory: string,
  address: string,
  role: 'seed' | 'leech',
): (line: string) => Promise<void> {
  const peer = spawn('/usr/bin/python3', [PEER, torrent, directory, address, role]);
  peers.push(peer);
  let output = '';
  let complaints = '';
  peer.stdout.on('data', (text) => {
    output += text;
  });
  peer.stderr.on('data', (text) => {
    complaints += text;
  });
  return async (line) => {
    try {
      await until(`libtorrent says ${line}`, () => output.includes(line), 60_000);
    } catch (error) {
      throw new Error(`${String(error)}\n${complaints}`);
    }
  };
}

async function saveTorrent(image: string): Promise<string> {
  const response = await fetch(`${cluster.url}/v1/images/${image}/torrent`);
  const path = join(cluster.directory, 'image.torrent');
  writeFileSync(path, Buffer.from(await response.arrayBuffer()));
  return path;
}

async function peerAddress(agent: TestAgent): Promise<string> {
  return (await agent.status()).peerAddress;
}

describe.each([
  ['a whole number of blocks', 16 * MIB],
  ['a short last block', 16 * MIB - 5_120],
])('libtorrent 2, an image of %s', (_, length) => {
  test('downloads it from our agents', async () => {
    cluster = await Cluster.start(2, ['--foreign-peers', '--fill', 'always']);
    const source = join(cluster.directory, 'source.raw');
    makeTestImage(source, length);
    const image = await cluster.publish(source, 'test');
    for (const agent of cluster.agents) await agent.attach(image);
    await until('both agents are full', async () => {
      const all = await Promise.all(cluster.agents.map((agent) => agent.status()));
      return all.every(({ images }) => images[0].piecesHad === images[0].pieceCount);
    });
    const directory = join(cluster.directory, 'leech');
    mkdirSync(directory);
    const torrent = await saveTorrent(image);
    const says = startPeer(torrent, directory, await peerAddress(cluster.agents[0]), 'leech');
    await says('complete');
    expect(await run('cmp', [source, join(directory, 'test')])).toMatchObject({ code: 0 });
  });

  test('seeds it to our agent, without the origin', async () => {
    cluster = await Cluster.start(1, ['--foreign-peers']);
    const [agent] = cluster.agents;
    const directory = join(cluster.directory, 'seed');
    mkdirSync(directory);
    const source = join(directory, 'test');
    makeTestImage(source, length);
    const image = await cluster.publish(source, 'test');
    const { uri } = await agent.attach(image);
    const torrent = await saveTorrent(image);
    await cluster.tracker.kill('SIGTERM');
    const says = startPeer(torrent, directory, await peerAddress(agent), 'seed');
    await says('ready');
    const copy = join(cluster.directory, 'copy.raw');
    expect(await run('nbdcopy', [uri, copy])).toMatchObject({ code: 0 });
    expect(await run('cmp', [source, copy])).toMatchObject({ code: 0 });
    const { bytesFromOrigin, bytesFromPeers } = (await agent.status()).images[0];
    expect(bytesFromOrigin).toBe(0);
    expect(bytesFromPeers).toBeGreaterThan(0);
  });
});
