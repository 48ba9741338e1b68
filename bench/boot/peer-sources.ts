/**
 * What ours is measured beside: the raw file on the VM's own host, one qemu-nbd and one iSCSI target on the store's, and an
 * nbdkit with the torrent plugin on each VM's host. Each gets the same QEMU and an overlay like ours.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, until } from '../../test/cluster.ts';
import type { LabHost } from '../lab/network-lab.ts';
import { type BootSource, type GuestPlace, overlayCommand, runOn } from './boot-source.ts';
import { PeerProcess } from './peer-process.ts';

export interface PeerOptions {
  /** The image, raw. */
  readonly disk: string;
  readonly directory: string;
  /** Where a central server runs. */
  readonly store: LabHost;
}

const SEEDER = fileURLToPath(new URL('./libtorrent-seeder.py', import.meta.url));
const NBD_PORT = 10_809;
const ISCSI_PORT = 3_260;
const TORRENT_PORT = 6_881;
const TARGET = 'iqn.2014-04.bench:disk';
const INSTALL: Readonly<Record<string, string>> = {
  iscsi: 'apt-get install tgt qemu-block-extra',
  torrent: 'apt-get install nbdkit python3-libtorrent',
};

/** A file that all VMs read: the bound that no network can beat. */
export class LocalSource implements BootSource {
  readonly #options: PeerOptions;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    const { directory, disk } = this.#options;
    return Promise.all(places.map(({ name }) => overlayCommand(directory, name, disk)));
  }

  async clear(): Promise<void> {}
}

/** It lives for one turn; its file is in the page cache, so that its NIC is what is slow. */
export class QemuNbdSource implements BootSource {
  readonly #options: PeerOptions;
  #server: PeerProcess | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  async prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    const { directory, disk, store } = this.#options;
    const at = ['-b', store.address, '-p', `${NBD_PORT}`, '-e', '64', '--cache=writeback'];
    this.#server = new PeerProcess(store, 'qemu-nbd', '-t', '-r', '-f', 'raw', ...at, disk);
    const server = { type: 'inet', host: store.address, port: `${NBD_PORT}` };
    const backing = `json:${JSON.stringify({ driver: 'raw', file: { driver: 'nbd', server } })}`;
    await until('qemu-nbd listens', () => opens(places[0].host, backing));
    return Promise.all(places.map(({ name }) => overlayCommand(directory, name, backing)));
  }

  async clear(): Promise<void> {
    await this.#server?.end();
  }
}

/** Debian's tgt, which QEMU reads by its own iSCSI driver. */
export class IscsiSource implements BootSource {
  readonly #options: PeerOptions;
  #server: PeerProcess | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  async prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    const { directory, disk, store } = this.#options;
    // Beside that of a tgtd which the machine may run.
    const control = `TGT_IPC_SOCKET=${join(directory, 'tgtd.sock')}`;
    const portal = `${store.address}:${ISCSI_PORT}`;
    this.#server = new PeerProcess(
      store,
      'env',
      control,
      'tgtd',
      '-f',
      '--iscsi',
      `portal=${portal}`,
    );
    const admin = (...args: string[]) => {
      return runOn(store, 'env', control, 'tgtadm', '--lld', 'iscsi', ...args, '--tid', '1');
    };
    await until('tgtd runs', () => {
      return admin('--mode', 'target', '--op', 'new', '-T', TARGET).then(
        () => true,
        () => false,
      );
    }).catch((error: Error) => needs('iscsi', error.message));
    const unit = ['--mode', 'logicalunit', '--lun', '1'];
    await admin(...unit, '--op', 'new', '--backing-store', disk);
    await admin(...unit, '--op', 'update', '--params', 'readonly=1');
    await admin('--mode', 'target', '--op', 'bind', '--initiator-address', 'ALL');
    const [probe, ...backings] = ['probe', ...places.map(({ name }) => name)].map((name) => {
      // Two initiators of one name would be one session, each cutting the other's.
      const initiator = { 'initiator-name': `iqn.2014-04.bench:${name}` };
      const file = { driver: 'iscsi', transport: 'tcp', portal, target: TARGET, lun: 1 };
      return `json:${JSON.stringify({ driver: 'raw', file: { ...file, ...initiator } })}`;
    });
    const { code, stderr } = await read(places[0].host, probe);
    if (code !== 0) needs('iscsi', stderr);
    return Promise.all(places.map(({ name }, at) => overlayCommand(directory, name, backings[at])));
  }

  async clear(): Promise<void> {
    await this.#server?.end();
  }
}

/**
 * A libtorrent seeder on the store's host, which dials the nbdkit of each VM's host; those learn of each other from it (BEP 11).
 * They begin with nothing, and download all of the image from their start on, as they do.
 */
export class TorrentSource implements BootSource {
  readonly #options: PeerOptions;
  readonly #torrent: string;
  #processes: PeerProcess[] = [];
  #turn = 0;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.#torrent = join(options.directory, 'disk.torrent');
  }

  async prepare(places: readonly GuestPlace[]): Promise<readonly (readonly string[])[]> {
    const { directory, disk, store } = this.#options;
    const hosts = [...new Set(places.map(({ host }) => host))];
    if (!existsSync(this.#torrent)) await this.#makeTorrent();
    this.#turn += 1;
    const runDir = join(directory, `torrent-${this.#turn}`);
    mkdirSync(runDir);
    const socketOf = (host: LabHost) => join(runDir, `${host.name}.sock`);
    for (const host of hosts) {
      const cache = join(runDir, host.name);
      mkdirSync(cache);
      const listens = `listen-interfaces=${host.address}:${TORRENT_PORT}`;
      const from = [`torrent=${this.#torrent}`, `cache=${cache}`, listens];
      this.#processes.push(
        new PeerProcess(host, 'nbdkit', '-f', '-r', '-U', socketOf(host), 'torrent', ...from),
      );
    }
    const listen = () => hosts.every((host) => existsSync(socketOf(host)));
    await until('each nbdkit listens', listen).catch((error: Error) => {
      needs('torrent', error.message);
    });
    const addresses = hosts.map(({ address }) => `${address}:${TORRENT_PORT}`);
    const seeder = [SEEDER, this.#torrent, disk, store.address, ...addresses];
    this.#processes.push(new PeerProcess(store, '/usr/bin/python3', ...seeder));
    return Promise.all(
      places.map(({ name, host }) => {
        const server = { type: 'unix', path: socketOf(host) };
        const file = { driver: 'nbd', server };
        const backing = `json:${JSON.stringify({ driver: 'raw', file })}`;
        return overlayCommand(directory, name, backing);
      }),
    );
  }

  async clear(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.end()));
    this.#processes = [];
    const runDir = join(this.#options.directory, `torrent-${this.#turn}`);
    rmSync(runDir, { recursive: true, force: true });
  }

  async #makeTorrent(): Promise<void> {
    const { code, stderr } = await run('/usr/bin/python3', [
      SEEDER,
      this.#torrent,
      this.#options.disk,
    ]);
    if (code !== 0) needs('torrent', stderr);
  }
}

function needs(mode: string, why: string): never {
  throw new Error(`${mode}: ${why.trim()}\n${INSTALL[mode]}, or leave it out of --modes`);
}

async function opens(host: LabHost, backing: string): Promise<boolean> {
  return (await read(host, backing)).code === 0;
}

function read(host: LabHost, backing: string) {
  const [program, ...args] = [...host.prefix, 'qemu-img', 'info', backing];
  return run(program, args);
}
