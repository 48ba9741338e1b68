/** A QMP server on a unix socket that says what a test has it say, byte for byte. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const GREETING = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": []}}\r\n';

export interface Asked {
  readonly execute: string;
  readonly id: number;
}

export type Script = (say: (bytes: string | Uint8Array) => void, asked?: Asked) => void;

export class QmpServer {
  readonly #directory = mkdtempSync(join(tmpdir(), 'qmp-'));
  readonly path = join(this.#directory, 'qmp.sock');
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  connections = 0;

  /** `script` runs when a client connects, and again for each line it sends. */
  constructor(script: Script) {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      const say = (bytes: string | Uint8Array): void => void socket.write(bytes);
      script(say);
      createInterface({ input: socket }).on('line', (line) => script(say, JSON.parse(line)));
    });
  }

  /** Greets, takes the capabilities, and leaves the rest to `script`. */
  static async polite(script: Script): Promise<QmpServer> {
    return QmpServer.start((say, asked) => {
      if (asked === undefined) say(GREETING);
      else if (asked.execute === 'qmp_capabilities') say(`{"return": {}, "id": ${asked.id}}\r\n`);
      else script(say, asked);
    });
  }

  static async start(script: Script): Promise<QmpServer> {
    const server = new QmpServer(script);
    server.#server.listen(server.path);
    await once(server.#server, 'listening');
    return server;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
    rmSync(this.#directory, { recursive: true });
  }
}
