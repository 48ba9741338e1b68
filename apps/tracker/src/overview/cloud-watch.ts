/**
 * Watches the cloud for operators: takes in the nodes' reports, advances the history by the second, raises the tracker's own
 * alarms, and sends the overview to whoever listens. Composes nothing while nobody does.
 */
import { statfs } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { EventStream } from '@bootswarm/rest';
import {
  type Alarm,
  AlarmBoard,
  type AlarmChange,
  type Condition,
  diskNearlyFull,
  type NodeIdentity,
  type NodeReport,
  SpreadRule,
} from '@bootswarm/tracker-proto';
import type { Logger } from 'pino';
import type { Catalogue } from '../catalogue.ts';
import { ListedImages } from '../listed-images.ts';
import { HISTORY_SECONDS, type Overview, STREAM_SAMPLES } from '../overview-api.ts';
import type { SignalServer } from '../signal-server.ts';
import { VERSION } from '../version.ts';
import { NodeReports } from './node-reports.ts';
import { overviewOf } from './overview.ts';
import { StormHistory } from './storm-history.ts';

export interface CloudWatchOptions {
  readonly dataDir: string;
  readonly catalogue: Catalogue;
  readonly log: Logger;
  signals(): SignalServer;
  hasOrigin(): boolean;
  /** Milliseconds since 1970; default: the system's. */
  readonly now?: () => number;
}

const TICK_MS = 1_000;
/** All members of all swarms are looked at. */
const RULES_EVERY_TICKS = 5;
/** Who received anything in the last minute. */
const RECEIVER_MS = 60_000;

export class CloudWatch {
  readonly reports = new NodeReports();
  readonly board = new AlarmBoard('tracker', (ms) => new Date(ms).toISOString());
  /** To everybody, and to the administrator, who may know of all images. */
  readonly #streams: readonly { readonly listed: ListedImages; readonly stream: EventStream }[];
  readonly #options: CloudWatchOptions;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #history: StormHistory;
  readonly #spread = new Map<string, SpreadRule>();
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;
  #looking = Promise.resolve();

  constructor(options: CloudWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#startedAt = this.#now();
    this.#streams = [false, true].map((isAdmin) => ({
      listed: new ListedImages(options.catalogue, isAdmin),
      stream: new EventStream(),
    }));
    this.#history = new StormHistory(secondOf(this.#startedAt));
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  report(node: NodeIdentity, report: NodeReport): void {
    const nowMs = this.#now();
    this.#history.advance(secondOf(nowMs));
    this.reports.add(node, report, nowMs);
    this.#history.setBooting(this.reports.vmsBooting);
    this.#history.add(report, report.intervalMs / 1_000);
  }

  /** Once a second. */
  tick(): void {
    const nowMs = this.#now();
    this.#history.advance(secondOf(nowMs));
    this.reports.keep((node) => this.#options.signals().isConnected(node));
    this.#history.setBooting(this.reports.vmsBooting);
    if (this.#ticks % RULES_EVERY_TICKS === 0) this.#looking = this.#look(nowMs);
    this.#ticks += 1;
    for (const { listed, stream } of this.#streams) {
      if (stream.size > 0) stream.send('overview', this.overview(listed, STREAM_SAMPLES));
    }
  }

  /** The response is a stream of overviews from now on. Throws OperatorError `too-many-streams`. */
  listen(response: ServerResponse, isAdmin: boolean): void {
    const { listed, stream } = this.#streams[Number(isAdmin)];
    stream.add(response, 'overview', this.overview(listed));
  }

  get listeners(): number {
    return this.#streams.reduce((sum, { stream }) => sum + stream.size, 0);
  }

  /** Of these images, with that many seconds of history. */
  overview(listed: ListedImages, seconds = HISTORY_SECONDS): Overview {
    const { catalogue, signals, hasOrigin } = this.#options;
    const nowMs = this.#now();
    this.#history.advance(secondOf(nowMs));
    return overviewOf({
      nowMs,
      tracker: {
        version: VERSION,
        uptimeSeconds: Math.round((nowMs - this.#startedAt) / 1_000),
        agents: signals().agentCount,
        hasOrigin: hasOrigin(),
      },
      samples: this.#history.samples(seconds),
      storm: this.#history.storm,
      images: catalogue.list().filter(({ id }) => listed.has(id)),
      isListed: (image) => listed.has(image),
      swarms: signals().swarms(),
      nodes: signals().nodes(),
      reports: this.reports,
      alarms: this.alarms().map((alarm) => listed.alarm(alarm)),
      bootOrderOf: (image) => signals().bootOrderStats(image),
    });
  }

  /** The tracker's own and those that nodes report; ListedImages says what of them may be told. */
  alarms(): Alarm[] {
    const ofNodes = Array.from(this.reports.all, ([node, { last }]) =>
      last.alarms.map((alarm): Alarm => ({ ...alarm, node })),
    );
    return [...this.board.alarms, ...ofNodes.flat()];
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const { stream } of this.#streams) stream.close();
    await this.#looking;
  }

  /** Resolves when the look that a tick has begun is over. */
  async idle(): Promise<void> {
    await this.#looking;
  }

  async #look(nowMs: number): Promise<void> {
    const conditions = [...this.#spreadConditions(nowMs), await this.#diskCondition()];
    const present = conditions.filter((each): each is Condition => each !== undefined);
    for (const change of this.board.update(present, nowMs)) logAlarm(this.#options.log, change);
  }

  #spreadConditions(nowMs: number): (Condition | undefined)[] {
    const { catalogue, signals } = this.#options;
    const swarms = signals()
      .swarms()
      .filter(({ image }) => catalogue.has(image));
    const known = new Set(swarms.map(({ image }) => image));
    for (const image of this.#spread.keys()) if (!known.has(image)) this.#spread.delete(image);
    return swarms.map(({ image, members }) => {
      let rule = this.#spread.get(image);
      if (rule === undefined) {
        rule = new SpreadRule();
        this.#spread.set(image, rule);
      }
      let [bytesFromPeers, bytesFromOrigin, receivers] = [0, 0, 0];
      for (const { member, progress } of members) {
        bytesFromPeers += progress.bytesFromPeers;
        bytesFromOrigin += progress.bytesFromOrigin;
        const receivedAt = this.reports.get(member.node)?.receivedAt ?? 0;
        const hasAny = progress.bytesFromPeers + progress.bytesFromOrigin > 0;
        if (hasAny && nowMs - receivedAt <= RECEIVER_MS) receivers += 1;
      }
      const { name } = catalogue.find(image).image;
      return rule.at(name, { bytesFromPeers, bytesFromOrigin }, receivers, nowMs);
    });
  }

  async #diskCondition(): Promise<Condition | undefined> {
    const { dataDir: directory, log } = this.#options;
    try {
      const { bavail, blocks, bsize } = await statfs(directory);
      const facts = { directory, bytesFree: bavail * bsize, bytesTotal: blocks * bsize };
      const isRaised = this.board.isRaised('disk-nearly-full', directory);
      return diskNearlyFull({ ...facts, isCacheFull: false }, isRaised);
    } catch (error) {
      log.debug({ err: error }, 'free space not known');
      return undefined;
    }
  }
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1_000);
}

function logAlarm(log: Logger, { type, alarm }: AlarmChange): void {
  if (type === 'raised') log.warn({ alarm }, 'alarm raised');
  else log.info({ alarm }, 'alarm cleared');
}
