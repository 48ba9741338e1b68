/** A compute node's directory of instances, and Debian's real Nova code at work in it. */
import { lstatSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { baseNameOf } from '../../apps/agent/src/nova/base-link.ts';
import { run } from '../cluster.ts';

const BACKEND = fileURLToPath(new URL('nova-backend.py', import.meta.url));

export interface Spawned {
  readonly backend: string;
  /** Where Nova wanted its base image downloaded to. */
  readonly downloads: readonly string[];
  /** Of the disk. */
  readonly path: string;
  readonly seconds: number;
  /** Of libvirt. */
  readonly xml: string;
  readonly failure: string | null;
}

export class NovaNode {
  readonly instances: string;
  readonly conf: string;
  readonly #directory: string;

  constructor(directory: string, config = '[libvirt]\nimages_type = qcow2\n') {
    this.#directory = directory;
    this.instances = join(directory, 'instances');
    this.conf = join(directory, 'nova.conf');
    mkdirSync(this.instances, { recursive: true });
    writeFileSync(this.conf, config);
  }

  /** For an agent. */
  get fuseDir(): string {
    return join(this.#directory, 'fuse');
  }

  get agentArgs(): string[] {
    const { fuseDir, instances, conf } = this;
    return ['--fuse', fuseDir, '--nova-instances', instances, '--nova-conf', conf];
  }

  basePath(glanceId: string): string {
    return join(this.instances, '_base', baseNameOf(glanceId));
  }

  /** Where a base image that is a link leads; undefined when there is none. */
  linkOf(glanceId: string): string | undefined {
    const path = this.basePath(glanceId);
    const found = lstatSync(path, { throwIfNoEntry: false });
    return found?.isSymbolicLink() ? readlinkSync(path) : undefined;
  }

  spawn(glanceId: string, uuid: string, size: number, config = this.conf): Promise<Spawned> {
    return this.#ask({ do: 'spawn', conf: config, glanceId, uuid, size });
  }

  /** `running`: the image of Glance by instance. */
  age(running: Record<string, string>): Promise<{ removable: string[]; active: string[] }> {
    return this.#ask({ do: 'age', conf: this.conf, running });
  }

  async #ask<T>(what: Record<string, unknown>): Promise<T> {
    const asked = JSON.stringify({ ...what, instances: this.instances });
    const result = await run('/usr/bin/python3', [BACKEND, asked], { timeoutMs: 120_000 });
    if (result.code !== 0) throw new Error(result.stderr);
    return JSON.parse(result.stdout) as T;
  }
}
