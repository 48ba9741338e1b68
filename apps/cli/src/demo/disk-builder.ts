/**
 * Makes the demo's disk: MBR with GRUB, one ext4 partition with kernel, initramfs, busybox and the guest's files, so that
 * BIOS, GRUB, kernel and root all read through the disk. Uses no mount, no loop device and no root.
 */
import {
  access,
  chmod,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OperatorError } from '@bootswarm/stdx';
import { encodeBootRecord, PARTITION_FIRST_SECTOR, SECTOR_BYTES } from './boot-record.ts';
import { type CpioEntry, encodeCpio } from './cpio-archive.ts';
import { runProgram } from './external-program.ts';
import { contentOf, serviceFiles, shareFiles } from './guest-files.ts';
import { FS_LABEL, GRUB_SCRIPT, INITRAMFS_INIT, MODULES, ROOT_INIT } from './guest-scripts.ts';

/** Always the same, so that two builds differ as little as mke2fs lets them. */
const FS_UUID = '6d2f3b7c-0f0e-4a52-9d31-b0075a3de300';

const DISK_BYTES = 512 * 1024 * 1024;

/** Where Debian's grub-pc-bin keeps GRUB for BIOS. */
const GRUB_DIR = '/usr/lib/grub/i386-pc';
/** What core.img needs to read a kernel from ext4 and start it. */
const GRUB_MODULES = ['biosdisk', 'part_msdos', 'ext2', 'linux', 'boot'];
/** Named one by one: newer mke2fs turns on features that GRUB 2.06 cannot read. */
const EXT4_FEATURES = [
  ...['none', 'has_journal', 'extent', 'filetype', 'dir_index', 'flex_bg'],
  ...['sparse_super', 'large_file', 'huge_file', 'extra_isize'],
].join(',');
/** busybox applets that the disk's init calls by name. */
const APPLETS = ['cat', 'mount', 'poweroff', 'sha256sum', 'stty', 'sync'];

/**
 * Writes the disk to `diskPath`. `packagesRoot` holds the unpacked kernel and busybox-static packages; `workDir` is for
 * files in between.
 */
export async function buildDisk(
  packagesRoot: string,
  workDir: string,
  diskPath: string,
): Promise<void> {
  const root = join(workDir, 'root');
  const busybox = join(packagesRoot, 'bin', 'busybox');
  const kernel = await findKernel(packagesRoot);
  await layOutRoot(root, busybox);
  await copyFile(kernel.image, join(root, 'boot', 'vmlinuz'));
  await writeFile(join(root, 'boot', 'initrd.img'), await initramfs(kernel.modules, busybox));
  await makeFilesystem(root, diskPath);
  await writeBootRecord(workDir, diskPath);
}

/** Throws OperatorError when GRUB for BIOS is not there; its programs can be without it. */
export async function requireGrub(): Promise<void> {
  try {
    await access(join(GRUB_DIR, 'boot.img'));
  } catch (error) {
    throw new OperatorError(
      'program-missing',
      `this machine has no GRUB for BIOS in ${GRUB_DIR}`,
      'apt-get install grub-pc-bin',
      { cause: error },
    );
  }
}

async function layOutRoot(root: string, busybox: string): Promise<void> {
  for (const dir of ['bin', 'boot', 'dev', 'etc', 'proc', 'sbin', 'tmp', 'var/log']) {
    await mkdir(join(root, dir), { recursive: true });
  }
  await copyFile(busybox, join(root, 'bin', 'busybox'));
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await writeFile(join(root, 'sbin', 'init'), ROOT_INIT);
  await chmod(join(root, 'sbin', 'init'), 0o755);
  await writeFile(join(root, 'etc', 'hostname'), `${FS_LABEL}\n`);
  for (const file of [...serviceFiles(), ...shareFiles()]) {
    const path = join(root, file.path);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, contentOf(file));
  }
}

async function findKernel(packagesRoot: string): Promise<{ image: string; modules: string }> {
  const boot = join(packagesRoot, 'boot');
  const name = (await readdir(boot)).find((entry) => entry.startsWith('vmlinuz-'));
  if (name === undefined) {
    throw new OperatorError(
      'kernel-not-found',
      `the kernel package holds no boot/vmlinuz-*`,
      'boot an image of your own with --image FILE',
    );
  }
  const version = name.slice('vmlinuz-'.length);
  const modules = join(packagesRoot, 'lib', 'modules', version, 'kernel');
  return { image: join(boot, name), modules };
}

/** Uncompressed: without KVM, reading a megabyte more takes less time than unpacking it. */
async function initramfs(modulesDir: string, busybox: string): Promise<Buffer> {
  const directories = ['bin', 'dev', 'lib', 'root'].map(
    (path): CpioEntry => ({ type: 'directory', path }),
  );
  const modules = MODULES.map(async (path): Promise<CpioEntry> => {
    const name = `${path.split('/').at(-1)}.ko`;
    const content = await readFile(join(modulesDir, `${path}.ko`));
    return { type: 'file', path: `lib/${name}`, isExecutable: false, content };
  });
  return encodeCpio([
    ...directories,
    program('bin/busybox', await readFile(busybox)),
    program('init', Buffer.from(INITRAMFS_INIT)),
    ...(await Promise.all(modules)),
  ]);
}

function program(path: string, content: Uint8Array): CpioEntry {
  return { type: 'file', path, isExecutable: true, content };
}

async function makeFilesystem(root: string, diskPath: string): Promise<void> {
  const file = await open(diskPath, 'wx');
  await file.truncate(DISK_BYTES);
  await file.close();
  const offset = PARTITION_FIRST_SECTOR * SECTOR_BYTES;
  await runProgram('mke2fs', [
    ...['-q', '-F', '-t', 'ext4', '-O', EXT4_FEATURES, '-b', '4096', '-J', 'size=4', '-m', '0'],
    ...[
      '-L',
      FS_LABEL,
      '-U',
      FS_UUID,
      '-E',
      `offset=${offset},root_owner=0:0,hash_seed=${FS_UUID}`,
    ],
    ...['-d', root, diskPath, `${(DISK_BYTES - offset) / 1024}k`],
  ]);
}

async function writeBootRecord(workDir: string, diskPath: string): Promise<void> {
  const script = join(workDir, 'grub.cfg');
  const core = join(workDir, 'core.img');
  await writeFile(script, GRUB_SCRIPT);
  await runProgram('grub-mkimage', [
    ...['-O', 'i386-pc', '-d', GRUB_DIR, '-p', '(hd0,msdos1)/boot/grub'],
    ...['-c', script, '-o', core, ...GRUB_MODULES],
  ]);
  const bootCode = await readFile(join(GRUB_DIR, 'boot.img'));
  const disk = await open(diskPath, 'r+');
  try {
    await disk.write(encodeBootRecord(bootCode, await readFile(core), DISK_BYTES), 0, null, 0);
    await disk.sync();
  } finally {
    await disk.close();
  }
}
