/**
 * Keeps one origin process running: adopts the one that outlived the last tracker, otherwise starts one; starts another
 * when it dies; tells each new one which images to serve. The origin is a process of its own so that the tracker may be
 * killed without a byte of service being lost. What the origin does is written in origin/.
 */
import { spawn } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { closeSync, openSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, LEAN_NODE_ENV, LEAN_NODE_FLAGS, messageOf, OperatorError } from '@bootswarm/stdx';
import type { PeerAddress } from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import type { DataDir } from './data-dir.ts';
import { OriginControl, OriginError } from './origin-control.ts';
import type { OriginHello, OriginStats } from './origin-protocol.ts';
import { VERSION } from './version.ts';

export interface OriginOptions {
  readonly dataDir: DataDir;
  /** Port 0: any; the origin keeps the one it got for as long as the tracker lives. */
  readonly listen: PeerAddress;
  /** The most it sends, over all images. Default: no limit. */
  readonly bytesPerSecondMax?: number;
  readonly log: Logger;
  /** The program to run. */
  readonly mainPath: string;
  /** For an answer, and for the exit of an origin that was told to stop. Default: 5 s. */
  readonly requestTimeoutMs?: number;
  /** The images to serve, asked whenever an origin comes up. */
  images(): readonly string[];
  onAddress(address: PeerAddress): void;
  /** The origin cannot serve this image: its original is gone or has changed. */
  onDamaged(image: string, reason: string): void;
}

/** Answers come within milliseconds; a host that swaps may take a while. */
const REQUEST_TIMEOUT_MS = 5_000;
/** To open an image the origin reads and checks its piece layer: up to a second for the largest. */
const OPEN_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 10_000;
const POLL_INTERVAL_MS = 20;
const RESPAWN_DELAY_MIN_MS = 200;
const RESPAWN_DELAY_MAX_MS = 10_000;

export class OriginProcess {
  readonly #options: OriginOptions;
  readonly #stopping = new AbortController();
  readonly #requestTimeoutMs: number;
  #listen: PeerAddress;
  #control: OriginControl | undefined;
  #hello: OriginHello | undefined;
  #supervision: Promise<void> = Promise.resolve();

  private constructor(options: OriginOptions) {
    this.#options = options;
    this.#listen = options.listen;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  }

  /** Resolves once an origin accepts peers. Throws OperatorError `origin-not-started`. */
  static async start(options: OriginOptions): Promise<OriginProcess> {
    const origin = new OriginProcess(options);
    await origin.#resolveListen();
    await origin.#bringUp();
    origin.#supervision = origin.#supervise();
    return origin;
  }

  /** Where the origin accepts peers; undefined while there is none. */
  get address(): PeerAddress | undefined {
    return this.#hello && { host: this.#hello.host, port: this.#hello.port };
  }

  get pid(): number | undefined {
    return this.#hello?.pid;
  }

  /** Nothing to do while no origin runs: the next one is told all images. */
  async open(image: string): Promise<void> {
    const control = this.#control;
    if (control === undefined) return;
    try {
      await control.request('open', { image }, OPEN_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof OriginError) this.#options.onDamaged(image, error.message);
      else this.#options.log.warn({ image, error: messageOf(error) }, 'origin did not open image');
    }
  }

  async withdraw(image: string): Promise<void> {
    try {
      await this.#control?.request('withdraw', { image }, this.#requestTimeoutMs);
    } catch (error) {
      this.#options.log.warn({ image, error: messageOf(error) }, 'origin did not withdraw image');
    }
  }

  /** Undefined while there is no origin, or when it does not answer within a second. */
  async stats(): Promise<OriginStats | undefined> {
    try {
      return await this.#control?.request('stats', {}, 1_000);
    } catch {
      return undefined;
    }
  }

  /** Stops the origin too. */
  async close(): Promise<void> {
    this.#stopping.abort();
    // One that is just being started comes up first, or is given up.
    if (this.#control === undefined) await this.#supervision;
    if (this.#control && this.#hello) await this.#stop(this.#control, this.#hello.pid);
    await this.#supervision;
  }

  /** An origin says where it listens as an IP address; a name given for it would never be the same. */
  async #resolveListen(): Promise<void> {
    const { host, port } = this.#options.listen;
    try {
      this.#listen = { host: (await lookup(host)).address, port };
    } catch (error) {
      throw this.#notStarted(
        `The origin cannot listen on ${host}: ${messageOf(error)}`,
        'Give an address of this host.',
      );
    }
  }

  async #supervise(): Promise<void> {
    let delayMs = RESPAWN_DELAY_MIN_MS;
    while (!this.#stopping.signal.aborted) {
      const upSince = performance.now();
      await this.#control?.closed;
      this.#control = undefined;
      this.#hello = undefined;
      if (this.#stopping.signal.aborted) return;
      if (performance.now() - upSince > RESPAWN_DELAY_MAX_MS) delayMs = RESPAWN_DELAY_MIN_MS;
      this.#options.log.error({ delayMs }, 'origin is gone, starting another');
      try {
        await delay(delayMs, undefined, { signal: this.#stopping.signal });
        await this.#bringUp();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.#options.log.error({ error: messageOf(error) }, 'origin does not start');
      }
      delayMs = Math.min(delayMs * 2, RESPAWN_DELAY_MAX_MS);
    }
  }

  async #bringUp(): Promise<void> {
    const control = (await this.#adopt()) ?? (await this.#spawn());
    const wanted = this.#options.images();
    let hello: OriginHello;
    try {
      hello = await control.request('hello', {}, this.#requestTimeoutMs);
      const { bytesPerSecondMax = null } = this.#options;
      await control.request('limit', { bytesPerSecond: bytesPerSecondMax }, this.#requestTimeoutMs);
      // An adopted origin may serve what was withdrawn while no tracker ran.
      const { images } = await control.request('stats', {}, this.#requestTimeoutMs);
      for (const image of Object.keys(images)) {
        if (wanted.includes(image)) continue;
        await control.request('withdraw', { image }, this.#requestTimeoutMs);
      }
    } catch (error) {
      control.close();
      throw error;
    }
    this.#control = control;
    this.#hello = hello;
    // The next origin takes the same port, so that nodes need not be told.
    this.#listen = { host: this.#listen.host, port: hello.port };
    this.#options.log.info(
      { originPid: hello.pid, host: hello.host, port: hello.port },
      'origin is up',
    );
    this.#options.onAddress({ host: hello.host, port: hello.port });
    // Not `wanted`: what was published since then found no origin to open it.
    await Promise.all(this.#options.images().map((image) => this.open(image)));
  }

  /** The origin that runs already, if it is of our version and listens where we want it. */
  async #adopt(): Promise<OriginControl | undefined> {
    const control = await this.#connect();
    if (control === undefined) return undefined;
    let hello: OriginHello;
    try {
      hello = await control.request('hello', {}, this.#requestTimeoutMs);
    } catch (error) {
      control.close();
      throw this.#notStarted(
        `An origin listens on ${this.#options.dataDir.originSocket} but does not answer: ${messageOf(error)}`,
        'Find it with pgrep -af origin/main, and end it by its process id.',
      );
    }
    const { host, port } = this.#listen;
    const isWanted =
      hello.version === VERSION && hello.host === host && (port === 0 || hello.port === port);
    if (isWanted) return control;
    this.#options.log.info(
      { originPid: hello.pid, version: hello.version },
      'replacing the running origin',
    );
    await this.#stop(control, hello.pid);
    return undefined;
  }

  async #spawn(): Promise<OriginControl> {
    const { dataDir, mainPath } = this.#options;
    const { host, port } = this.#listen;
    const listen = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const args = [...LEAN_NODE_FLAGS, mainPath, '--data', dataDir.path, '--listen', listen];
    // Nobody listens there, as #adopt() found: the socket of an origin that was killed.
    rmSync(dataDir.originSocket, { force: true });
    const log = openSync(dataDir.originLog, 'a', 0o600);
    // A session of its own: neither our terminal's Ctrl-C nor our death reaches it.
    const child = spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...LEAN_NODE_ENV, ...process.env },
    });
    closeSync(log);
    child.unref();
    let exit: string | undefined;
    child.on('exit', (code, signal) => {
      exit = `it exited with ${signal ?? `code ${code}`}`;
    });
    child.on('error', (error) => {
      exit = error.message;
    });
    for (const deadline = performance.now() + START_TIMEOUT_MS; performance.now() < deadline; ) {
      const control = await this.#connect();
      if (control !== undefined) return control;
      if (exit !== undefined || this.#stopping.signal.aborted) break;
      await delay(POLL_INTERVAL_MS);
    }
    child.kill('SIGKILL');
    throw this.#notStarted(
      `The origin did not start on ${listen}: ${exit ?? `no sign of it in ${START_TIMEOUT_MS / 1_000} s`}`,
      `Read ${dataDir.originLog}; is the address in use?`,
    );
  }

  async #connect(): Promise<OriginControl | undefined> {
    try {
      return await OriginControl.connect(this.#options.dataDir.originSocket);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' || errno === 'ECONNREFUSED') return undefined;
      throw error;
    }
  }

  /** Asks it to exit and waits until it has, so that its port is free; one that does not in time is killed. */
  async #stop(control: OriginControl, pid: number): Promise<void> {
    // Its exit is the answer that counts.
    control.request('stop', {}, this.#requestTimeoutMs).catch(() => {});
    if (!(await hasExited(pid, this.#requestTimeoutMs))) {
      this.#options.log.warn({ originPid: pid }, 'origin does not stop, killing it');
      process.kill(pid, 'SIGKILL');
      await hasExited(pid, this.#requestTimeoutMs);
    }
    control.close();
  }

  #notStarted(message: string, hint: string): OperatorError {
    return new OperatorError('origin-not-started', message, hint);
  }
}

/** Looks again and again: an adopted origin is not our child, so nothing tells us. */
async function hasExited(pid: number, timeoutMs: number): Promise<boolean> {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; ) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await delay(POLL_INTERVAL_MS);
  }
  return false;
}
