/**
 * The programs outside npm that each purpose needs, as Debian names them, and how they get there: installed when we are
 * root, asked for otherwise. On other systems it can only say what is missing.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { SetupError } from './setup-error.mjs';
import { timed } from './timed.mjs';

/**
 * `probe` is a shell command that succeeds where the package, or what another system calls it, is installed. Recommended
 * packages are left out; seabios and ipxe-qemu, without which no guest starts, are dependencies of qemu-system-x86.
 */
const DEMO_PACKAGES = [
  {
    name: 'qemu-system-x86',
    reason: 'runs the guests',
    probe: 'command -v qemu-system-x86_64',
  },
  {
    name: 'qemu-utils',
    reason: 'qemu-img makes overlays and reads qcow2 images',
    probe: 'command -v qemu-img',
  },
  {
    name: 'grub-common',
    reason: "grub-mkimage makes the boot loader of the demo's disk",
    probe: 'command -v grub-mkimage',
  },
  {
    name: 'grub-pc-bin',
    reason: 'holds the boot sector and the modules of that boot loader',
    probe: 'test -f /usr/lib/grub/i386-pc/boot.img',
  },
  {
    name: 'e2fsprogs',
    reason: "mke2fs makes the file system of the demo's disk, without mounting it",
    probe: 'command -v mke2fs',
  },
];

const TEST_PACKAGES = [
  {
    name: 'systemd-container',
    reason: 'systemd-nspawn boots a system in which our systemd units run',
    probe: 'command -v systemd-nspawn',
  },
  {
    name: 'libnbd-bin',
    reason: 'nbdinfo and nbdcopy: an NBD client that we did not write',
    probe: 'command -v nbdcopy',
  },
  {
    name: 'python3-libnbd',
    reason: 'nbdsh drives our NBD server request by request',
    probe: "python3 -c 'import nbd'",
  },
  {
    name: 'python3-libtorrent',
    reason: 'a BitTorrent v2 peer that we did not write',
    probe: "python3 -c 'import libtorrent'",
  },
  {
    name: 'nbdkit',
    reason: 'an NBD server that we did not write, to compare with',
    probe: 'command -v nbdkit',
  },
  {
    name: 'fio',
    reason: 'reads an export at depth and verifies what it gets',
    probe: 'command -v fio',
  },
  {
    name: 'python3-nova',
    reason: "Nova's own image back ends, which find our files as their base images",
    probe: "/usr/bin/python3 -c 'import nova.virt.libvirt.imagebackend'",
  },
  {
    name: 'libvirt-daemon-system',
    reason: 'libvirtd boots what they made',
    probe: 'command -v libvirtd',
  },
  {
    name: 'libvirt-clients',
    reason: 'virsh tells it to',
    probe: 'command -v virsh',
  },
  {
    name: 'gcc',
    reason: 'builds the library that makes system calls fail',
    probe: 'command -v cc',
  },
  {
    name: 'libc6-dev',
    reason: 'holds the headers for that',
    probe: 'test -f /usr/include/stdio.h',
  },
  {
    name: 'openssl',
    reason: 'makes the certificates of NBD servers and clients',
    probe: 'command -v openssl',
  },
  {
    name: 'strace',
    reason: 'shows which files a program opens',
    probe: 'command -v strace',
  },
  {
    name: 'glance-api',
    reason: "OpenStack's image service, whose images are published",
    probe: 'command -v glance-api',
  },
  {
    name: 'python3-nova',
    reason: "the code of OpenStack's compute service that downloads images",
    probe: "python3 -c 'import nova'",
  },
  {
    name: 'iproute2',
    reason: 'ip and tc make the network of bench storm --real; ss shows who listens',
    probe: 'command -v ip && command -v tc',
  },
  {
    name: 'chromium',
    reason: "opens the tracker's web page",
    probe: 'command -v chromium',
  },
];

const PACKAGES_OF = {
  demo: DEMO_PACKAGES,
  test: [...DEMO_PACKAGES, ...TEST_PACKAGES],
};

export const PURPOSES = Object.keys(PACKAGES_OF);

/** Another apt, such as the unattended upgrade of a machine that has just booted, holds the lock for a minute or two. */
const APT_INSTALL = ['-o', 'DPkg::Lock::Timeout=180', 'install', '-y', '--no-install-recommends'];

/** Returns when everything the purpose needs is installed; throws SetupError otherwise. */
export function installSystemPackages(purpose) {
  const packages = PACKAGES_OF[purpose];
  const installed = installedDebianPackages(packages);
  if (installed === undefined) return checkPrograms(packages);
  const missing = packages.map(({ name }) => name).filter((name) => !installed.has(name));
  const isListed = hasPackageLists();
  if (missing.length === 0 && isListed) return;
  if (process.getuid() !== 0) throw new SetupError(requestToInstall(missing, isListed));
  if (!isListed) timed('fetches the Debian package lists (apt-get update)', aptUpdate);
  if (missing.length > 0) {
    timed(`installs ${missing.join(' ')} (apt-get)`, () => aptInstall(missing));
  }
}

/** The names that dpkg has installed, or undefined where there is no dpkg. */
function installedDebianPackages(packages) {
  const names = packages.map(({ name }) => name);
  const format = `\${db:Status-Status} \${Package}\\n`;
  // Exits with 1 when it does not know one of the names, and still prints the others.
  const { stdout, error } = spawnSync('dpkg-query', ['-W', '-f', format, ...names], {
    encoding: 'utf8',
  });
  if (error?.code === 'ENOENT') return undefined;
  if (error) throw error;
  const lines = stdout.split('\n').map((line) => line.split(' '));
  return new Set(lines.filter(([status]) => status === 'installed').map(([, name]) => name));
}

function requestToInstall(missing, isListed) {
  const install = `sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  const commands = [];
  if (!isListed) commands.push('sudo apt-get update');
  if (missing.length > 0) commands.push(install);
  return `this needs Debian packages; run\n\n  ${commands.join(' && ')}\n\nand start again`;
}

/**
 * False on a machine that never ran `apt-get update`, such as most container images. Besides apt-get install, the demo and
 * the tests need the lists for the guest's kernel, which they download without installing it.
 */
function hasPackageLists() {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => /_Packages(\.\w+)?$/.test(name));
  } catch {
    return false;
  }
}

/** As root. A failed install is tried once more with fresh lists: those of last month name files that are gone. */
function aptInstall(missing) {
  const install = [...APT_INSTALL, ...missing];
  if (aptGet(install).status === 0) return;
  aptUpdate();
  const { status, stderr } = aptGet(install);
  if (status !== 0) {
    throw new SetupError(`apt-get could not install ${missing.join(' ')}:\n${stderr.trim()}`);
  }
}

function aptUpdate() {
  const { status, stderr } = aptGet(['update']);
  if (status !== 0) throw new SetupError(`apt-get update failed:\n${stderr.trim()}`);
}

function aptGet(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Its output is kept for the message of a failure; dpkg alone can print a megabyte.
  const options = { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 26 };
  const result = spawnSync('apt-get', ['-q', ...args], options);
  if (result.error) throw new SetupError(`cannot run apt-get: ${result.error.message}`);
  return result;
}

function checkPrograms(packages) {
  // mke2fs lies where the PATH of an ordinary user does not lead.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin` };
  const missing = packages.filter(({ probe }) => {
    return spawnSync('sh', ['-c', probe], { env, stdio: 'ignore' }).status !== 0;
  });
  if (missing.length === 0) return;
  const width = Math.max(...missing.map(({ name }) => name.length));
  const lines = missing.map(({ name, reason }) => `  ${name.padEnd(width)}  ${reason}`);
  throw new SetupError(
    `this is not a Debian; install what your system calls these packages, then start again:\n\n` +
      `${lines.join('\n')}\n`,
  );
}
