/** A whole agent in this process, on temporary directories, with a stand-in for qemu-img: unit tests need only npm packages. */
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentOptions } from '../src/agent-options.ts';
import { type RunningAgent, runAgent } from '../src/run-agent.ts';
import { CatalogueServer, type SignedImage } from './catalogue-server.ts';

export interface ApiAnswer {
  readonly status: number;
  readonly type: string | undefined;
  /** Undefined when the body is empty. */
  readonly body: unknown;
}

/** `create` makes the file, `info` fails as for a running VM when FILE.locked is there. */
const QEMU_IMG = `#!/bin/sh
if [ "$1" = create ]; then
  while [ $# -gt 2 ]; do shift; done
  : > "$1"
elif [ -e "$4.locked" ]; then
  echo 'Failed to get shared "write" lock' >&2
  exit 1
fi
`;

/** A PATH whose first qemu-img is the stand-in, which is put below `directory`. */
export function pathWithQemuImg(directory: string): string {
  const bin = join(directory, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'qemu-img'), QEMU_IMG);
  chmodSync(join(bin, 'qemu-img'), 0o755);
  return `${bin}:${process.env.PATH}`;
}

export class TestAgent {
  readonly directory = mkdtempSync(join(tmpdir(), 'test-agent-'));
  readonly cacheDir = join(this.directory, 'cache');
  readonly runDir = join(this.directory, 'run');
  readonly tracker: CatalogueServer;
  #running: RunningAgent | undefined;
  readonly #path = process.env.PATH;

  private constructor(tracker: CatalogueServer) {
    this.tracker = tracker;
  }

  static async start(images: SignedImage[], options?: Partial<AgentOptions>): Promise<TestAgent> {
    const agent = new TestAgent(await CatalogueServer.start(...images));
    process.env.PATH = pathWithQemuImg(agent.directory);
    await agent.startAgent(options);
    return agent;
  }

  async startAgent(options: Partial<AgentOptions> = {}): Promise<void> {
    this.#running = await runAgent({
      ...{ trackerUrl: this.tracker.url, cacheDir: this.cacheDir, runDir: this.runDir },
      ...{ node: 'n1', zone: 'z', rack: 'r', listen: { host: '127.0.0.1', port: 0 } },
      ...{
        fill: 'never',
        hotBytes: 2 ** 20,
        scrubBytesPerSecond: 0,
        nbdReplyBytes: 2 ** 26,
        prejoin: true,
        foreignPeers: false,
        pivot: true,
        logLevel: 'silent',
      },
      ...options,
    });
  }

  /** Resolves when the agent makes way for its successor. */
  get replaced(): Promise<void> {
    return this.#running!.replaced;
  }

  async stopAgent(): Promise<void> {
    await this.#running?.close();
    this.#running = undefined;
  }

  async end(): Promise<void> {
    await this.stopAgent();
    await this.tracker.stop();
    process.env.PATH = this.#path;
    rmSync(this.directory, { recursive: true });
  }

  /** One request on the control socket; `body` is sent as JSON unless it is a string. */
  async ask(method: string, path: string, body?: unknown): Promise<ApiAnswer> {
    const socketPath = join(this.runDir, 'agent.sock');
    const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
    // Else Node sends none of it with a GET or DELETE.
    const headers = text === undefined ? {} : { 'content-length': Buffer.byteLength(text) };
    const asked = request({ socketPath, method, path, headers, agent: false });
    asked.end(text);
    const [response] = await once(asked, 'response');
    let answer = '';
    for await (const chunk of response.setEncoding('utf8')) answer += chunk;
    const type = response.headers['content-type'];
    const parsed = type?.includes('json') ? JSON.parse(answer) : answer;
    return {
      status: response.statusCode,
      type,
      body: answer === '' ? undefined : parsed,
    };
  }
}
