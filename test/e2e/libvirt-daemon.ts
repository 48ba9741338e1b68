/** A real libvirtd with directories of its own, which it sees in place of the system's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, run, until } from '../cluster.ts';

/** Below the test's directory, and where libvirt looks for it. */
const DIRECTORIES = {
  etc: '/etc/libvirt',
  run: '/run/libvirt',
  lib: '/var/lib/libvirt',
  log: '/var/log/libvirt',
  cache: '/var/cache/libvirt',
};
/** Nothing here confines guests; the owner of disks is changed, as on any host. */
const QEMU_CONF = `security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
`;

export class LibvirtDaemon {
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(directory: string, child: ChildProcess) {
    this.#directory = directory;
    this.#child = child;
  }

  static async start(directory: string): Promise<LibvirtDaemon> {
    for (const name of Object.keys(DIRECTORIES))
      mkdirSync(join(directory, name), { recursive: true });
    writeFileSync(join(directory, 'etc', 'qemu.conf'), QEMU_CONF);
    writeFileSync(join(directory, 'etc', 'libvirtd.conf'), 'auth_unix_rw = "none"\n');
    const mounts = Object.entries(DIRECTORIES).map(
      ([name, path]) => `mkdir -p ${path} && mount --bind '${join(directory, name)}' ${path}`,
    );
    const child = spawn(
      'unshare',
      [
        ...['--mount', 'sh', '-c'],
        [...mounts, 'exec libvirtd -f /etc/libvirt/libvirtd.conf'].join(' && '),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let told = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      told += text;
    });
    const daemon = new LibvirtDaemon(directory, child);
    await until('libvirtd answers', async () => {
      if (child.exitCode !== null) throw new Error(`libvirtd ended: ${told}`);
      return existsSync(daemon.#socket) && (await daemon.virsh('version')).code === 0;
    });
    return daemon;
  }

  get #socket(): string {
    return join(this.#directory, 'run', 'libvirt-sock');
  }

  virsh(...args: string[]): Promise<CommandResult> {
    return run('virsh', ['-c', `qemu+unix:///system?socket=${this.#socket}`, ...args]);
  }

  /** Starts a guest with this disk under TCG; its console goes to a file, whose path is returned. */
  async boot(name: string, diskXml: string): Promise<string> {
    const consolePath = join(this.#directory, `${name}.console`);
    const domain = join(this.#directory, `${name}.xml`);
    writeFileSync(
      domain,
      `<domain type='qemu'>
  <name>${name}</name>
  <memory unit='MiB'>256</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${diskXml}
    <serial type='file'><source path='${consolePath}'/><target port='0'/></serial>
  </devices>
</domain>
`,
    );
    const { code, stderr } = await this.virsh('create', domain);
    if (code !== 0) throw new Error(`${stderr}\n${this.#qemuLog(name)}`);
    return consolePath;
  }

  async destroy(name: string): Promise<void> {
    await this.virsh('destroy', name);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const { stdout } = await this.virsh('list', '--name');
    for (const name of stdout.split('\n').filter((each) => each !== '')) await this.destroy(name);
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
  }

  #qemuLog(name: string): string {
    const path = join(this.#directory, 'log', 'qemu', `${name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8').slice(-2_000) : '';
  }
}
