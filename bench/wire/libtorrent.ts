/** A libtorrent seeder, and leechers that download from it, as processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PEER = fileURLToPath(new URL('./libtorrent-peer.py', import.meta.url));

export class LibtorrentPeer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #said = '';

  constructor(torrent: string, directory: string, address?: string) {
    const args = [PEER, torrent, directory, ...(address === undefined ? [] : [address])];
    const child = spawn('/usr/bin/python3', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.on('data', (data: Buffer) => {
      this.#said = (this.#said + data.toString()).slice(-2_000);
    });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Its next line, which begins with `word`; what follows the word. */
  async says(word: string): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done || !value.startsWith(word)) {
      throw new Error(`libtorrent did not get to '${word}': ${value ?? this.#said}`);
    }
    return value.slice(word.length).trim();
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}
