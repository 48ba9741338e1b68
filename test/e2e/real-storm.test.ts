/** bench storm --real: real daemons on a network of namespaces, the figures of the simulator, and nothing left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBootTrace, piecesOf } from '@bootswarm/sim';
import { Bitfield } from '@bootswarm/stdx';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { labObstacle } from '../../bench/lab/lab-process.ts';
import { NbdReader } from '../../bench/nbd-reader.ts';
import { writeTraceImage } from '../../bench/storm/real/trace-image.ts';
import { lengthMax, TracePlayer } from '../../bench/storm/real/trace-player.ts';
import { Cluster, run, until } from '../cluster.ts';

const BENCH = new URL('../../bench/main.ts', import.meta.url).pathname;
const STORM = new URL('../../bench/storm/main.ts', import.meta.url).pathname;
const NETNS_DIRECTORY = '/run/netns';
const GRANULE = 65_536;
/** A tracker, its origin and agents start before it. */
const BEGINS_MS_MAX = 90_000;

/** 40 reads over 24 granules with data, across their borders and into zeros. */
const TRACE = {
  name: 'short',
  sizeBytes: 64 * GRANULE,
  granuleBytes: GRANULE,
  dataGranules: [
    [0, 16],
    [40, 8],
  ],
  reads: Array.from({ length: 40 }, (_, index) => {
    return [index * 1_500, ((index * 7) % 60) * GRANULE + 4_096 * (index % 15), 12_288];
  }),
};

const obstacle = labObstacle();
if (obstacle !== undefined) console.warn(`storm --real is not tested here: ${obstacle}`);

let directory: string;
let traceFile: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'real-storm-'));
  traceFile = join(directory, 'short.json');
  writeFileSync(traceFile, JSON.stringify(TRACE));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A directory for the temporary files of one bench, and what of it can be seen from outside. */
class Traces {
  readonly temporary = mkdtempSync(join(directory, 't-'));
  readonly #before = networkNames();

  get env(): Record<string, string> {
    return { TMPDIR: this.temporary };
  }

  get processes(): string[] {
    return commandLines().filter((line) => line.includes(this.temporary));
  }

  expectNone(): void {
    expect(this.processes).toEqual([]);
    expect(networkNames()).toEqual(this.#before);
  }
}

function networkNames(): string[] {
  const namespaces = existsSync(NETNS_DIRECTORY) ? readdirSync(NETNS_DIRECTORY) : ['none'];
  return [...namespaces, ...readdirSync('/sys/class/net')];
}

function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return '';
      }
    });
}

describe.skipIf(obstacle !== undefined)('storm --real', () => {
  test('plays the storm of the simulator, with its figures, and leaves nothing behind', async () => {
    const traces = new Traces();
    const options = ['--trace', traceFile, '--nodes', '3', '--mbit', '200', '--arrival', '0.1'];
    const figures = async (...how: string[]) => {
      const json = join(directory, 'result.json');
      const args = [BENCH, 'storm', ...options, '--learned', 'no', '--json', json, ...how];
      const { code, stderr } = await run(process.execPath, args, {
        env: traces.env,
        timeoutMs: 120_000,
      });
      expect(code, stderr).toBe(0);
      return JSON.parse(readFileSync(json, 'utf8')).policies[0];
    };
    const simulated = await figures();
    const real = await figures('--real');
    const onlySimulated = ['bans', 'zoneBytesMax', 'events', 'rssMib', 'join'];
    const shared = Object.keys(simulated).filter((name) => !onlySimulated.includes(name));
    expect(Object.keys(real).sort()).toEqual([...shared, 'real'].sort());
    expect([real.stallsBySource, real.eventLogHash]).toEqual([null, null]);
    expect(real.neededBytes).toBe(simulated.neededBytes);
    expect(real.fluidLimitSeconds).toBe(simulated.fluidLimitSeconds);
    expect(real.curves.vmReadySeconds).toHaveLength(3);
    expect(real.curves.vmReadySeconds.at(-1)).toBe(real.lastVmSeconds);
    expect(real.originBytes).toBe(real.real.bytesFromOrigin);
    expect(real.originRatio).toBeGreaterThanOrEqual(1);
    expect(real.originRatio).toBeLessThanOrEqual(1.2);
    expect(readdirSync(traces.temporary)).toEqual([]);
    traces.expectNone();
  });

  test('gives nodes that join with their guests the image too', async () => {
    const traces = new Traces();
    const options = ['--nodes', '2', '--mbit', '200', '--known', 'no', '--vms-per-node', '2'];
    const args = [BENCH, 'storm', '--real', '--trace', traceFile, ...options];
    const { code, stdout, stderr } = await run(process.execPath, args, {
      env: traces.env,
      timeoutMs: 120_000,
    });
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/, 1\.\d+ x the bytes needed/);
    expect(readdirSync(traces.temporary)).toEqual([]);
  });

  test('interrupted, it leaves nothing behind', async () => {
    const traces = new Traces();
    const bench = await slowStorm(traces);
    const closed = once(bench, 'close');
    bench.kill('SIGINT');
    expect((await closed)[0]).not.toBe(0);
    expect(readdirSync(traces.temporary)).toEqual([]);
    traces.expectNone();
  });

  test('killed, it leaves its directory and no process or network', async () => {
    const traces = new Traces();
    const bench = await slowStorm(traces);
    bench.kill('SIGKILL');
    await until('the lab has ended', () => traces.processes.length === 0);
    traces.expectNone();
  });

  test('refuses what it cannot play', async () => {
    const args = [BENCH, 'storm', '--real', '--learned', 'yes'];
    const { code, stderr } = await run(process.execPath, args);
    expect(code).toBe(2);
    expect(stderr).toContain('--learned yes is for the simulator');
  });
});

/** A storm that would last minutes, in the middle of it. */
async function slowStorm({ env }: Traces): Promise<ChildProcess> {
  const options = ['--trace', traceFile, '--nodes', '2', '--think', '1000'];
  const bench = spawn(process.execPath, [STORM, '--real', ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  let text = '';
  bench.stderr.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  try {
    await until('the storm begins', () => text.includes('the storm begins'), BEGINS_MS_MAX);
  } catch (error) {
    bench.kill('SIGTERM');
    throw error;
  }
  return bench;
}

describe('a player of a boot trace', () => {
  test.each([
    ['boots from an export of its image', 1, undefined],
    ['notices a byte that is not of its image', 2, /wrong bytes/],
  ])('%s', async (_, seed, failure) => {
    const trace = parseBootTrace(TRACE);
    const pieces = piecesOf(trace, GRANULE);
    const cluster = await Cluster.start(1);
    try {
      const paths = [1, seed].map((each, index) => {
        const path = join(cluster.directory, `image${index}.raw`);
        writeTraceImage(path, trace, each);
        return path;
      });
      const image = await cluster.publish(paths[0], 'short');
      const { socket, export: name } = await cluster.agents[0].attach(image);
      const { zeroPieces } = (await cluster.agents[0].status()).images[0];
      expect(zeroPieces).toBe(pieces.zero.count);
      const reader = await NbdReader.open(socket, name, lengthMax(trace.reads), () => {});
      const player = new TracePlayer(reader, {
        reads: trace.reads,
        piecesPerRead: pieces.perRead,
        thinkScale: 1,
        image: openSync(paths[1], 'r'),
        answered: new Bitfield(pieces.pieceCount),
      });
      const boot = player.play();
      if (failure === undefined) expect((await boot).stallsMs.length).toBeGreaterThan(0);
      else await expect(boot).rejects.toThrow(failure);
      await reader.close();
    } finally {
      await cluster.stop();
    }
  });
});
