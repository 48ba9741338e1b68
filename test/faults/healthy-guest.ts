/** An NBD client that behaves: reads here and there in an image, over and over, and compares with the original. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '@bootswarm/stdx';
import { RawClient } from '../../apps/agent/test/nbd/raw-client.ts';
import { CMD, request } from '../../packages/nbd-proto/test/wire.ts';
import { type TestAgent, until } from '../cluster.ts';

const READ_LENGTH = 4096;
const SIMPLE_REPLY_LENGTH = 16;

export class HealthyGuest {
  readonly #client: RawClient;
  readonly #file: number;
  readonly #random = new Random(1);
  readonly #reading: Promise<void>;
  #isStopped = false;
  #readsDone = 0;

  static async start(agent: TestAgent, image: string, source: string): Promise<HealthyGuest> {
    const client = await RawClient.open(join(agent.runDir, 'nbd.sock'), image);
    return new HealthyGuest(client, source);
  }

  private constructor(client: RawClient, source: string) {
    this.#client = client;
    this.#file = openSync(source, 'r');
    const cut = client.closed.then(() => {
      if (!this.#isStopped) throw new Error('the connection of a guest was cut');
    });
    this.#reading = Promise.race([this.#readOn(), cut]);
    // Whoever asks next is told.
    this.#reading.catch(() => {});
  }

  /** Resolves when it has read some more; rejects when a read ever failed or brought wrong bytes. */
  async goesOn(): Promise<void> {
    const wanted = this.#readsDone + 20;
    const more = until('a guest reads on', () => this.#readsDone >= wanted, 10_000);
    await Promise.race([more, this.#reading]);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#reading;
    this.#client.socket.destroy();
    closeSync(this.#file);
  }

  async #readOn(): Promise<void> {
    const expected = Buffer.alloc(READ_LENGTH);
    const { size } = fstatSync(this.#file);
    while (!this.#isStopped) {
      const offset = this.#random.below(size - READ_LENGTH);
      this.#client.send(request(CMD.read, offset, READ_LENGTH));
      const reply = await this.#client.receive(SIMPLE_REPLY_LENGTH + READ_LENGTH);
      readSync(this.#file, expected, 0, READ_LENGTH, offset);
      const isRight =
        reply.readUInt32BE(4) === 0 && reply.subarray(SIMPLE_REPLY_LENGTH).equals(expected);
      if (!isRight) throw new Error(`a guest got a wrong reply at ${offset}`);
      this.#readsDone += 1;
    }
  }
}
