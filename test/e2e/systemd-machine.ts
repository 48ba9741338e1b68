/**
 * A container with systemd as its first process, on an overlay of this host's own root: units run as on a machine, and nothing
 * of the host changes. It has a network of its own, with the loopback alone. Knows nothing of what it runs.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, run } from '../cluster.ts';

export interface MachineFiles {
  /** Of the host, by where the container has it, read-only. */
  readonly binds: Readonly<Record<string, string>>;
  /** Links of the container, by where they are. */
  readonly links: Readonly<Record<string, string>>;
}

const UNIT = 'bootswarm-test.service';
/** Booting takes 1 to 2 s, all of it 18 s on a busy machine of two cores. */
const TIMEOUT_MS = 90_000;

/** Why there can be none here, as far as can be known without trying. */
export function machineLacks(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root';
  const programs = ['/usr/bin/systemd-nspawn', '/lib/systemd/systemd', '/usr/bin/unshare'];
  const missing = programs.filter((path) => !existsSync(path));
  return missing.length === 0 ? undefined : `there is no ${missing.join(', no ')}`;
}

/**
 * Boots one, has it run a shell script as root, and ends it. The script finds `directory`/out as /srv/out. Resolves with the exit
 * code and the output of the script, or with why the container did not come so far as to begin it.
 */
export async function inMachine(
  directory: string,
  script: string,
  { binds, links }: MachineFiles,
): Promise<CommandResult | string> {
  const at = (name: string): string => join(directory, name);
  for (const name of ['layers', 'out']) mkdirSync(at(name), { recursive: true });
  writeFileSync(at('out/script.sh'), script);
  writeFileSync(at('test.service'), unitFile());
  writeFileSync(at('boot.sh'), bootScript(at('layers'), at('test.service'), links));
  const shown = Object.entries(binds).map(([inside, outside]) => `--bind-ro=${outside}:${inside}`);
  const console = await run(
    'unshare',
    [
      ...['--mount', 'sh', at('boot.sh'), 'systemd-nspawn', '--quiet', '--register=no'],
      ...['--keep-unit', '--private-network', '--machine=bootswarm-test', '--bind=/dev/fuse'],
      ...[`--directory=${at('layers/root')}`, `--bind=${at('out')}:/srv/out`, ...shown],
      ...['--boot', `systemd.unit=${UNIT}`],
    ],
    { timeoutMs: TIMEOUT_MS },
  );
  if (!existsSync(at('out/begun'))) return `${console.stdout}${console.stderr}`.slice(-2_000);
  const read = (name: string): string => readFileSync(at(`out/${name}`), 'utf8');
  return { code: Number(read('code')), stdout: read('stdout'), stderr: read('stderr') };
}

function unitFile(): string {
  const script = 'touch begun; sh script.sh >stdout 2>stderr; echo $$? >code';
  return `[Unit]
Requires=basic.target
After=basic.target
[Service]
Type=oneshot
WorkingDirectory=/srv/out
ExecStart=/bin/sh -c '${script}'
ExecStopPost=/bin/systemctl --no-block poweroff --force
`;
}

/** The mounts end with the container's namespace. What the host has enabled is not started, and no link is waited for. */
function bootScript(layers: string, unit: string, links: Readonly<Record<string, string>>): string {
  return `set -e
mount -t tmpfs -o mode=755 tmpfs ${layers}
cd ${layers}
mkdir up work root
mount -t overlay -o lowerdir=/,upperdir=up,workdir=work overlay root
rm -rf root/etc/systemd/system/*.wants root/etc/machine-id
cp ${unit} root/etc/systemd/system/${UNIT}
for waits in systemd-networkd NetworkManager ifupdown; do
  ln -sfn /dev/null root/etc/systemd/system/$waits-wait-online.service
done
mkdir -p root/usr/local/bin root/usr/local/lib/node_modules root/srv/out
${Object.entries(links)
  .map(([link, to]) => `ln -sfn ${to} root${link}`)
  .join('\n')}
exec "$@" </dev/null
`;
}
