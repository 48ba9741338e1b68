/**
 * Debian's glance-api on a free port, with sqlite and a file store, in a directory of its own. It believes the identity headers
 * of who asks, which only IdentityProxy sends: what a project may see is then decided by Glance itself.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../cluster.ts';
import { freePorts } from '../free-ports.ts';
import { IdentityProxy } from './identity-proxy.ts';

const READY_MS = 90_000;

export interface NewImage {
  readonly name?: string;
  readonly disk_format?: string;
  readonly visibility?: 'public' | 'private' | 'shared' | 'community';
  readonly bootswarm?: string;
}

export class GlanceService {
  readonly directory = mkdtempSync(join(tmpdir(), 'bootswarm-glance-'));
  #process: ChildProcess | undefined;
  #proxy: IdentityProxy | undefined;
  #port = 0;

  static async start(): Promise<GlanceService> {
    const service = new GlanceService();
    try {
      [service.#port] = await freePorts(1);
      service.#configure();
      service.#proxy = await IdentityProxy.start(service.#port);
      await service.run();
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
    return service;
  }

  /** Keystone, and Glance for whoever has one of its tokens. */
  get identity(): IdentityProxy {
    return this.#proxy!;
  }

  /** Options of a daemon that may see all images. */
  get credentials(): string[] {
    const openrc = join(this.directory, 'openrc');
    writeFileSync(openrc, this.identity.openrc, { mode: 0o600 });
    return ['--openstack-credentials', openrc];
  }

  /** Starts the process, again after stop(). */
  async run(): Promise<void> {
    const log = openSync(join(this.directory, 'glance.log'), 'a');
    const child = spawn(
      '/usr/bin/glance-api',
      ['--config-file', join(this.directory, 'glance.conf')],
      {
        stdio: ['ignore', log, log],
      },
    );
    closeSync(log);
    this.#process = child;
    await until(
      'glance-api answers',
      async () => {
        if (child.exitCode !== null) throw new Error(`glance-api ended:\n${this.log}`);
        const answer = await fetch(`http://127.0.0.1:${this.#port}/`).catch(() => undefined);
        return answer?.status === 300 || answer?.status === 200;
      },
      READY_MS,
    );
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  get log(): string {
    return readFileSync(join(this.directory, 'glance.log'), 'utf8');
  }

  /** Creates an image as the project of `token` and uploads its bytes; resolves with its id. */
  async create(token: string, bytes: Uint8Array, image: NewImage = {}): Promise<string> {
    const body = { name: 'disk', container_format: 'bare', disk_format: 'raw', ...image };
    const created = await this.ask(token, 'POST', '/v2/images', {
      type: 'application/json',
      body: JSON.stringify(body),
    });
    const { id } = (await created.json()) as { id: string };
    await this.ask(token, 'PUT', `/v2/images/${id}/file`, {
      type: 'application/octet-stream',
      body: bytes,
    });
    return id;
  }

  /** Rejects unless it is a success. */
  async ask(
    token: string,
    method: string,
    path: string,
    content?: { type: string; body: string | Uint8Array },
  ): Promise<Response> {
    const answer = await fetch(this.identity.url + path, {
      method,
      headers: { 'x-auth-token': token, ...(content && { 'content-type': content.type }) },
      body: content?.body as string | undefined,
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  #configure(): void {
    const path = this.directory;
    const at = (name: string) => join(path, name);
    for (const name of ['images', 'staging', 'tasks']) mkdirSync(at(name));
    const paste = readFileSync('/usr/share/glance-common/glance-api-paste.ini', 'utf8');
    // As with Keystone, but for the middleware that asks it who holds a token.
    writeFileSync(at('paste.ini'), paste.replace('authtoken context  rootapp', 'context rootapp'));
    writeFileSync(at('policy.yaml'), '"publicize_image": "role:member"\n');
    writeFileSync(
      at('glance.conf'),
      `[DEFAULT]
bind_host = 127.0.0.1
bind_port = ${this.#port}
workers = 0
enabled_backends = fs:file
transport_url = fake://
worker_self_reference_url = http://127.0.0.1:${this.#port}
[database]
connection = sqlite:///${at('glance.sqlite')}
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = ${at('images')}
[os_glance_staging_store]
filesystem_store_datadir = ${at('staging')}
[os_glance_tasks_store]
filesystem_store_datadir = ${at('tasks')}
[paste_deploy]
flavor = keystone
config_file = ${at('paste.ini')}
[oslo_messaging_notifications]
driver = noop
[oslo_policy]
policy_file = ${at('policy.yaml')}
enforce_new_defaults = false
enforce_scope = false
`,
    );
    execFileSync('/usr/bin/glance-manage', ['--config-file', at('glance.conf'), 'db_sync'], {
      stdio: 'ignore',
      timeout: READY_MS,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#proxy?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
