/**
 * A boot storm of the real programs: a tracker with its origin, an agent per node, a network of namespaces, a player per guest.
 * Decides who starts when and what is measured when; the figures are made in real-result.ts.
 */
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Boot, type BootTrace, piecesOf, type TracePieces } from '@bootswarm/sim';
import { Bitfield, Random } from '@bootswarm/stdx';
import { type LabAgent, LabCloud } from '../../lab/lab-cloud.ts';
import { NbdReader } from '../../nbd-reader.ts';
import { traceOf } from '../storm-flags.ts';
import { LabLoad, retransmittedSegments } from './lab-load.ts';
import { type RealStormResult, realResult, type Traffic } from './real-result.ts';
import { writeTraceImage } from './trace-image.ts';
import { lengthMax, TracePlayer } from './trace-player.ts';

export interface RealStormOptions {
  /** As --trace has it. */
  readonly trace: string;
  readonly nodes: number;
  readonly vmsPerNode: number;
  readonly thinkScale: number;
  readonly arrivalMs: number;
  readonly mbit: number;
  readonly originMbit: number;
  readonly pieceLength: number;
  readonly isKnownBefore: boolean;
  readonly seed: number;
}

interface LabGuest {
  readonly node: number;
  readonly name: string;
  readonly agent: LabAgent;
  /** Pieces its node has answered a guest from. */
  readonly answered: Bitfield;
}

/** From here to the first arrival: time for whoever measures to have begun. */
const LEAD_MS = 50;
const MBIT_BYTES = 125_000;

/** Runs in a lab process, which ends all that is started here; `directory` is the lab's. */
export async function runRealStorm(
  options: RealStormOptions,
  directory: string,
  say: (what: string) => void,
): Promise<RealStormResult> {
  const trace = traceOf(options.trace);
  const image = join(directory, 'image.raw');
  writeTraceImage(image, trace, options.seed);
  say(`starts a tracker and ${options.nodes} agents`);
  const cloud = await LabCloud.start({ ...options, directory });
  const { id, pieceLength } = await cloud.publish(image);
  if (pieceLength !== options.pieceLength) {
    throw new Error(
      `the tracker makes pieces of ${pieceLength} bytes of this disk: give --piece ${pieceLength}`,
    );
  }
  const storm = new RealStorm(options, cloud, trace, id, image);
  return Promise.race([storm.run(say), cloud.untilDaemonEnds()]);
}

class RealStorm {
  readonly #options: RealStormOptions;
  readonly #cloud: LabCloud;
  readonly #trace: BootTrace;
  readonly #pieces: TracePieces;
  readonly #image: string;
  readonly #file: number;
  /** In order of arrival. */
  readonly #guests: readonly LabGuest[];

  constructor(
    options: RealStormOptions,
    cloud: LabCloud,
    trace: BootTrace,
    image: string,
    path: string,
  ) {
    this.#options = options;
    this.#cloud = cloud;
    this.#trace = trace;
    this.#pieces = piecesOf(trace, options.pieceLength);
    this.#image = image;
    this.#file = openSync(path, 'r');
    const { agents } = cloud;
    const answered = agents.map(() => new Bitfield(this.#pieces.pieceCount));
    const guests = Array.from({ length: agents.length * options.vmsPerNode }, (_, index) => {
      const node = index % agents.length;
      return { node, name: `vm${index}`, agent: agents[node], answered: answered[node] };
    });
    this.#guests = new Random(options.seed).shuffle(guests);
  }

  async run(say: (what: string) => void): Promise<RealStormResult> {
    const { isKnownBefore } = this.#options;
    if (isKnownBefore) {
      say('makes the VMs, and waits until all nodes know each other');
      await Promise.all(this.#guests.map((guest) => this.#createVm(guest)));
      await this.#cloud.untilAllKnown(this.#image);
    }
    say('the storm begins');
    const before = await this.#traffic();
    const { agents, tracker, originPid } = this.#cloud;
    const agentPids = agents.map(({ daemon }) => daemon.pid);
    const load = new LabLoad(agentPids, [tracker.pid, originPid]);
    const cold = await this.#play(isKnownBefore);
    const loadReport = load.stop();
    const after = await this.#traffic();
    say('the same once more, from the caches');
    const warm = await this.#play(true);
    const { originMbit, mbit } = this.#options;
    const [nic, originNic] = [mbit, originMbit].map((each) => each * MBIT_BYTES);
    const pieces = this.#pieces;
    return realResult({ cold, warm, before, after, load: loadReport, pieces, nic, originNic });
  }

  async #createVm({ agent, name }: LabGuest): Promise<void> {
    await agent.createVm(this.#image, name);
  }

  /** All guests boot, each at its time. Times are milliseconds after the first arrival. */
  async #play(haveVms: boolean): Promise<Boot[]> {
    const startAt = performance.now() + LEAD_MS;
    const { arrivalMs } = this.#options;
    const boots = this.#guests.map(async (guest, rank) => {
      const arrivedAt = (arrivalMs * rank) / this.#guests.length;
      await delay(startAt + arrivedAt - performance.now());
      if (!haveVms) await this.#createVm(guest);
      const { readyAt, stallsMs } = await this.#boot(guest);
      return { node: guest.node, startAt: arrivedAt, readyAt: readyAt - startAt, stallsMs };
    });
    return Promise.all(boots);
  }

  async #boot({ agent, name, answered }: LabGuest) {
    const { reads } = this.#trace;
    const cut = Promise.withResolvers<never>();
    const lost = (error: Error): void => cut.reject(error);
    const exportName = `${this.#image}@${name}`;
    const reader = await NbdReader.open(agent.nbdSocket, exportName, lengthMax(reads), lost);
    const player = new TracePlayer(reader, {
      reads,
      piecesPerRead: this.#pieces.perRead,
      thinkScale: this.#options.thinkScale,
      image: this.#file,
      answered,
    });
    const boot = await Promise.race([player.play(), cut.promise]);
    await reader.close();
    return boot;
  }

  async #traffic(): Promise<Traffic> {
    const { agents, tracker, lab } = this.#cloud;
    const hosts = [tracker, ...agents.map(({ daemon }) => daemon)];
    const nics = hosts.map(({ host }) => lab.counters(host));
    return {
      originBytes: (await this.#cloud.swarm(this.#image))?.origin.bytesSent ?? 0,
      storeBytesSent: nics[0].bytesSent,
      packetsDropped: sumOf(nics.map(({ drops }) => drops)),
      segmentsRetransmitted: sumOf(hosts.map(({ pid }) => retransmittedSegments(pid))),
      images: await Promise.all(agents.map((agent) => agent.imageStatus())),
    };
  }
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0);
}
