/**
 * An origin that serves nothing but the control protocol, for the tests of its supervisor. What it does wrong, if anything,
 * is read from DATA/fake-origin.json: {version, exit, silent, refuses}.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { OriginRequest } from '../src/origin-protocol.ts';
import { VERSION } from '../src/version.ts';

const { data, listen } = parseArgs({
  options: { data: { type: 'string' }, listen: { type: 'string' } },
}).values as { data: string; listen: string };
const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(listen) as RegExpExecArray;
const behaviourPath = join(data, 'fake-origin.json');
const behaviour = existsSync(behaviourPath) ? JSON.parse(readFileSync(behaviourPath, 'utf8')) : {};
if (behaviour.exit !== undefined) process.exit(behaviour.exit);

const started = JSON.stringify({ flags: process.execArgv, env: process.env });
writeFileSync(join(data, 'fake-origin-node.json'), started);

const images = new Set<string>(behaviour.serves ?? []);
const peers = createServer().listen(Number(port), host, () => {
  control.listen(join(data, 'origin.sock'), () => process.stdout.write('up\n'));
});

const control = createServer((socket) => {
  createInterface({ input: socket }).on('line', (line) => {
    if (behaviour.silent) return;
    const { id, method, params } = JSON.parse(line) as OriginRequest;
    const answer = (result: object) => socket.write(`${JSON.stringify({ id, result })}\n`);
    switch (method) {
      case 'hello': {
        const address = peers.address() as { address: string; port: number };
        const version = behaviour.version ?? VERSION;
        answer({ version, pid: process.pid, host: address.address, port: address.port });
        break;
      }
      case 'open':
        if (behaviour.refuses) {
          const error = { code: 'original-changed', message: 'the original has changed' };
          socket.write(`${JSON.stringify({ id, error })}\n`);
          break;
        }
        images.add(params.image);
        answer({});
        break;
      case 'limit':
        process.stdout.write(`limit ${params.bytesPerSecond}\n`);
        answer({});
        break;
      case 'withdraw':
        images.delete(params.image);
        answer({});
        break;
      case 'stats': {
        const one = { bytesSent: 100, piecesSent: 1, peers: 2, layerBytesSent: 50 };
        answer({ images: Object.fromEntries([...images].map((image) => [image, one])) });
        break;
      }
      case 'stop':
        if (behaviour.hangs) break;
        answer({});
        rmSync(join(data, 'origin.sock'));
        process.exit(0);
    }
  });
});
