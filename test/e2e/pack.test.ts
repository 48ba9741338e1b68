import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AgentStatus } from '@bootswarm/agent';
import { LEAN_NODE_ENV, LEAN_NODE_FLAGS } from '@bootswarm/stdx';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askJson, type CommandResult, run, until } from '../cluster.ts';
import { makeTestImage } from '../test-image.ts';
import { inMachine, machineLacks } from './systemd-machine.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MIB = 1024 * 1024;

describe('what npm run pack makes', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bootswarm-pack-test-'));
  const path = (...names: string[]): string => join(directory, ...names);
  const installed = path('prefix/lib/node_modules/bootswarm');
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    const packed = await run(process.execPath, [join(ROOT, 'scripts/pack.ts')], {
      timeoutMs: 200_000,
    });
    expect(packed.code, packed.stderr).toBe(0);
    const made = join(ROOT, packed.stdout.trim());
    // No registry and nothing of an earlier installation: a compute node often reaches none.
    const install = ['install', '--global', '--offline', '--ignore-scripts', made];
    const { code, stderr } = await run('npm', install, {
      env: { npm_config_prefix: path('prefix'), npm_config_cache: path('npm-cache') },
    });
    expect(code, stderr).toBe(0);
  });

  afterAll(async () => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(directory, { recursive: true, force: true });
  });

  function command(...args: string[]): Promise<CommandResult> {
    return run(path('prefix/bin/bootswarm'), args);
  }

  /** Resolves with the match of its ready line. */
  async function daemon(args: readonly string[], ready: RegExp): Promise<RegExpExecArray> {
    const log = path(`${args[0]}.log`);
    const fd = openSync(log, 'a');
    const child = spawn(path('prefix/bin/bootswarm'), args, { stdio: ['ignore', fd, fd] });
    children.push(child);
    return until(`${args[0]} is ready`, () => {
      const text = readFileSync(log, 'utf8');
      if (child.exitCode !== null) throw new Error(`${args[0]} ended:\n${text}`);
      return ready.exec(text) ?? undefined;
    });
  }

  it('has the version of the sources, compiled code only, and what operators need', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(await command('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
    const ours = [installed, ...scoped().map((name) => join(installed, name))];
    expect(ours.filter((one) => existsSync(join(one, 'src')))).toEqual([]);
    expect(ours.filter((one) => !existsSync(join(one, 'dist')))).toEqual([]);
    for (const file of [
      'systemd/bootswarm-agent.service',
      'systemd/bootswarm-tracker.service',
      'systemd/agent.yaml',
      'systemd/tracker.yaml',
      'docs/configuration.md',
      'docs/grafana/bootswarm.json',
      'docs/nova/bootswarm_weigher.py',
      'LICENSE',
    ]) {
      expect(existsSync(join(installed, file)), file).toBe(true);
    }
  });

  function scoped(): string[] {
    return readdirSync(join(installed, 'node_modules/@bootswarm')).map(
      (name) => `node_modules/@bootswarm/${name}`,
    );
  }

  it('has samples of settings that its daemons accept', async () => {
    for (const name of ['tracker', 'agent']) {
      const sample = join(installed, `systemd/${name}.yaml`);
      expect(await command(name, '--config', sample, '--check')).toMatchObject({ code: 0 });
    }
  });

  it('serves its page, publishes an image, brings it to an agent, and takes up after that is killed', async () => {
    makeTestImage(path('disk.raw'), 24 * MIB);
    const [, url] = await daemon(
      [
        ...['tracker', '--data', path('data')],
        ...['--listen', '127.0.0.1:0', '--origin-listen', '127.0.0.1:0'],
      ],
      /tracker ready at (\S+)/,
    );
    const page = await fetch(url);
    expect(await page.text()).toMatch(/<script type="module".* src="\/ui\/[^"]+\.js"/);
    await daemon(
      [
        ...['agent', '--tracker', url, '--cache', path('cache'), '--run', path('run')],
        ...['--listen', '127.0.0.1:0'],
      ],
      /agent ready/,
    );
    const published = await command('publish', path('disk.raw'), '--name', 'a', '--tracker', url);
    expect(published).toMatchObject({ code: 0 });
    await copied('first.raw');

    const socketPath = path('run/agent.sock');
    const status = (): Promise<AgentStatus> =>
      askJson({ socketPath, path: '/v1/status', method: 'GET' });
    const { pid } = await status();
    process.kill(pid, 'SIGKILL');
    await until('its successor answers', async () => {
      const now = await status().catch(() => undefined);
      return now !== undefined && now.pid !== pid;
    });
    await copied('second.raw');
  });

  async function copied(name: string): Promise<void> {
    const result = await command('copy', 'swarm:a', path(name), '--run', path('run'));
    expect(result).toMatchObject({ code: 0 });
    expect(readFileSync(path(name)).equals(readFileSync(path('disk.raw')))).toBe(true);
  }

  it('runs as its systemd units say, hardened, through an upgrade, kills, and the drop-in for FUSE', async ({
    skip,
  }) => {
    const lacks = machineLacks();
    if (lacks !== undefined) return skip(told(lacks));
    const directory = path('machine');
    mkdirSync(join(directory, 'out'), { recursive: true });
    makeTestImage(join(directory, 'out/disk.raw'), 8 * MIB);
    const script = readFileSync(join(import.meta.dirname, 'units.sh'), 'utf8');
    const result = await inMachine(directory, script, {
      binds: {
        '/usr/local/bin/node': process.execPath,
        '/usr/local/lib/node_modules/bootswarm': installed,
      },
      links: {
        '/usr/local/bin/bootswarm': '../lib/node_modules/bootswarm/bin/bootswarm.mjs',
      },
    });
    if (typeof result === 'string') return skip(told(`no container boots:\n${result}`));
    expect(result.code, result.stderr).toBe(0);
    expect(result.stdout.trim().split('\n')).toEqual([
      'copied',
      ...Object.entries(LEAN_NODE_ENV).map(([name, value]) => `${name}=${value}`),
      `NODE_OPTIONS=${LEAN_NODE_FLAGS.join(' ')}`,
      ...['CapEff: 0000000000000000', 'NoNewPrivs: 1', 'Seccomp: 2'],
      ...['upgraded', 'killed', 'waits', 'mended', 'tracker again', 'as files', 'gone'],
    ]);
  });

  /** Aloud: who reads the log knows that the units were not run. */
  function told(reason: string): string {
    process.stderr.write(`SKIPPED: the systemd units were not run here: ${reason}\n`);
    return reason;
  }

  it('says what to do on a Node that is too old', async () => {
    const old = `Object.defineProperty(process.versions, 'node', { value: '20.20.2' })`;
    const preload = `data:text/javascript,${encodeURIComponent(old)}`;
    const bin = join(installed, 'bin/bootswarm.mjs');
    const { code, stderr } = await run(process.execPath, ['--import', preload, bin, 'status']);
    expect(code).toBe(1);
    expect(stderr).toContain('needs Node 24 or newer');
    expect(stderr).toContain('→ install Node 24');
  });
});
