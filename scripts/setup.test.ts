import { spawn } from 'node:child_process';
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** A clone in a directory of its own, where npm, dpkg-query and apt-get are scripts that note how they were called. */
let root: string;

const PINNED_NODE = `node_modules/node-${process.platform}-${process.arch}`;
const LOCKFILE = JSON.stringify({
  packages: {
    '': { name: 'clone' },
    'node_modules/ws': { version: '8.23.0', integrity: 'sha512-abc' },
    'node_modules/other-system': { version: '1.0.0', optional: true },
    [PINNED_NODE]: { version: '24.21.0', optional: true },
  },
});

const SOURCE = 'apps/web/src/main.tsx';
const PAGE = 'apps/tracker/dist/web';

/** Makes a page, as vite does, and removes what was in its place. */
const VITE = `
/bin/rm -rf ../../${PAGE}
/bin/mkdir -p ../../${PAGE}`;

/** As npm does: the hidden lockfile last, and of the optional packages only those for this machine. */
const NPM = `
/bin/rm -rf node_modules
/bin/mkdir -p node_modules/.bin
/bin/ln -s "$NODE" node_modules/.bin/node
/bin/cp "$VITE" node_modules/.bin/vite
/bin/sed 's/"node_modules.other-system":{[^}]*},//' package-lock.json > node_modules/.package-lock.json`;

/** Everything that is asked for is installed, except $MISSING. */
const DPKG_QUERY = `
for name; do case " -W -f $MISSING " in *" $name "*) ;; *) echo "installed $name" ;; esac; done`;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'bootswarm-setup-'));
  await cp(join(import.meta.dirname, 'setup.mjs'), join(root, 'scripts', 'setup.mjs'));
  await cp(join(import.meta.dirname, 'setup'), join(root, 'scripts', 'setup'), { recursive: true });
  await writeFile(join(root, 'package-lock.json'), LOCKFILE);
  await mkdir(join(root, 'apps', 'web', 'src'), { recursive: true });
  await writeFile(join(root, SOURCE), 'render();');
  await mkdir(join(root, 'bin'));
  await symlink('/bin/sh', join(root, 'bin', 'sh'));
  await program('npm', NPM);
  await program('dpkg-query', DPKG_QUERY);
  await program('apt-get', '');
  await program('vite', VITE);
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

async function program(name: string, script: string): Promise<void> {
  const path = join(root, 'bin', name);
  await writeFile(path, `#!/bin/sh\nprintf '%s\\n' "${name} $*" >> "$CALLS"\n${script}\n`);
  await chmod(path, 0o755);
}

interface Settings {
  readonly userId?: number;
  /** Debian packages that are not installed, separated by spaces. */
  readonly missing?: string;
}

function start(args: readonly string[], { userId = 1000, missing = '' }: Settings = {}) {
  const preload = `data:text/javascript,process.getuid=()=>${userId}`;
  return spawn(process.execPath, ['--import', preload, 'scripts/setup.mjs', ...args], {
    cwd: root,
    env: {
      PATH: join(root, 'bin'),
      CALLS: join(root, 'calls'),
      NODE: process.execPath,
      VITE: join(root, 'bin', 'vite'),
      MISSING: missing,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function run(args: readonly string[], settings?: Settings) {
  const child = start(args, settings);
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    closed,
  ]);
  return { stdout, stderr, code };
}

/** The programs called since the clone was made, one line each. */
async function calls(): Promise<string[]> {
  const lines = (await readFile(join(root, 'calls'), 'utf8')).trim().split('\n');
  return lines.filter((line) => !/^(dpkg-query|vite) /.test(line));
}

async function builds(): Promise<number> {
  return (await readFile(join(root, 'calls'), 'utf8')).match(/^vite build /gm)?.length ?? 0;
}

const NPM_CI = expect.stringMatching(/^npm ci --ignore-scripts /);

describe('npm packages', () => {
  it('are installed in a fresh clone and left alone afterwards', async () => {
    expect(await run(['test'])).toMatchObject({ code: 0, stdout: '' });
    expect(await run(['test'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await calls()).toEqual([NPM_CI]);
  });

  it.each([
    ['another version', '8.23.0', '8.24.0'],
    [
      'another package',
      '"node_modules/ws"',
      '"node_modules/new":{"version":"1.0.0"},"node_modules/ws"',
    ],
    ['other contents', 'sha512-abc', 'sha512-def'],
  ])('are installed again when package-lock.json names %s', async (_, before, after) => {
    await run(['test']);
    await writeFile(join(root, 'package-lock.json'), LOCKFILE.replace(before, after));
    await run(['test']);
    expect(await calls()).toEqual([NPM_CI, NPM_CI]);
  });

  it.each([
    ['was cut short', () => ''],
    ['left out the pinned Node', (lockfile: string) => lockfile.replace(PINNED_NODE, 'x')],
  ])('are installed again when the last install %s', async (_, damage) => {
    await run(['test']);
    const hidden = join(root, 'node_modules', '.package-lock.json');
    await writeFile(hidden, damage(await readFile(hidden, 'utf8')));
    await run(['test']);
    expect(await calls()).toEqual([NPM_CI, NPM_CI]);
  });

  it('leave a link to the pinned Node where npm 10 removes it', async () => {
    const bin = `${PINNED_NODE}/bin`;
    await program(
      'npm',
      `${NPM}\n/bin/mkdir -p ${bin}\n/bin/mv node_modules/.bin/node ${bin}/node`,
    );
    await run(['test']);
    const link = await readlink(join(root, 'node_modules', '.bin', 'node'));
    expect(join('node_modules', '.bin', link)).toBe(`${bin}/node`);
  });

  it('stop the setup when npm fails', async () => {
    await program('npm', 'echo no network >&2; exit 1');
    const { code, stderr } = await run(['test', '--then', 'node', '-p', '1']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/no network\n.*\n?setup: npm ci failed/s);
  });
});

describe('the web page', () => {
  it('is built in a fresh clone and left alone afterwards', async () => {
    const { code, stderr } = await run(['demo']);
    expect(code).toBe(0);
    expect(stderr).toContain("setup: builds the tracker's web page (vite)");
    expect(await run(['demo'])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await builds()).toBe(1);
  });

  it.each([
    ['a source changes', () => writeFile(join(root, SOURCE), 'render(2);')],
    ['a source is added', () => writeFile(join(root, 'apps/web/index.html'), '<p>')],
    ['the page is gone', () => rm(join(root, PAGE), { recursive: true })],
  ])('is built again when %s', async (_, change) => {
    await run(['demo']);
    await change();
    await run(['demo']);
    expect(await builds()).toBe(2);
  });

  it('stops the setup when it cannot be built, and is tried again', async () => {
    await program('vite', 'echo "no such module" >&2; exit 1');
    const { code, stderr, stdout } = await run(['demo', '--then', 'node', '-p', '1']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/no such module\n.*\n?setup: the web page could not be built/s);
    await run(['demo']);
    expect(await builds()).toBe(2);
  });
});

describe('Debian packages', () => {
  it('are asked for in one line when we are not root', async () => {
    const { code, stderr, stdout } = await run(['demo', '--then', 'node', '-p', '"ran"'], {
      missing: 'qemu-utils e2fsprogs',
    });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(
      'sudo apt-get install -y --no-install-recommends qemu-utils e2fsprogs\n',
    );
    expect(await calls()).toEqual([NPM_CI]);
  });

  it('are installed when we are root', async () => {
    const { code, stdout } = await run(['test', '--then', 'node', '-p', '"ran"'], {
      missing: 'fio nbdkit',
      userId: 0,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ran\n' });
    expect((await calls()).at(-1)).toMatch(/^apt-get .* --no-install-recommends nbdkit fio$/);
  });

  it('are tried again with fresh lists, and then the words of apt-get are shown', async () => {
    await program('apt-get', 'case "$*" in *install*) echo "E: gone" >&2; exit 100 ;; esac');
    const { code, stderr } = await run(['test'], { missing: 'fio', userId: 0 });
    expect(code).toBe(1);
    expect(stderr).toMatch(/could not install fio:\nE: gone/);
    const tail = (await calls()).slice(-3).map((line) => /install|update/.exec(line)?.[0]);
    expect(tail).toEqual(['install', 'update', 'install']);
  });

  it('that only the tests need are no condition of the demo', async () => {
    expect(await run(['demo'], { missing: 'fio nbdkit' })).toMatchObject({ code: 0 });
  });

  it('are listed with their reasons where there is no dpkg', async () => {
    await rm(join(root, 'bin', 'dpkg-query'));
    const { code, stderr } = await run(['test']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/not a Debian.*\n\n.*qemu-utils +qemu-img makes overlays/s);
  });
});

describe('the command', () => {
  it('runs on Node 24 with its arguments, and gives us its exit code', async () => {
    const code = 'console.log(process.argv.slice(1), process.version); process.exitCode = 3';
    const result = await run(['test', '--then', 'node', '-e', code, '--', 'a b', '--then']);
    expect(result.code).toBe(3);
    expect(result.stdout).toMatch(/^\[ 'a b', '--then' \] v(2[4-9]|[3-9]\d)\./);
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('gets the %s that we get', async (signal) => {
    const code = `process.on('${signal}', () => process.exit(7)); setInterval(() => {}, 1e6); console.log(1)`;
    const child = start(['test', '--then', 'node', '-e', code]);
    child.stdout.once('data', () => child.kill(signal));
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(7);
  });

  it.each([
    ['that a signal killed', ['sh', '-c', 'kill -9 $$'], 137],
    ['that does not exist', ['no-such-program'], 127],
  ])('%s ends us as in a shell', async (_, command, code) => {
    expect(await run(['test', '--then', ...command])).toMatchObject({ code });
  });

  it.each([[[]], [['other']], [['test', 'node']], [['test', '--then']]])(
    'is refused with the usage for arguments %j',
    async (args) => {
      const { code, stderr } = await run(args);
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('usage:') });
    },
  );
});
