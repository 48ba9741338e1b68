/**
 * Puts the tracker together, in the order in which its parts need each other, and takes it apart again. Each part's
 * decisions are its own.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { LOG_HOOKS, messageOf, OperatorError, UndoSteps } from '@bootswarm/stdx';
import type { PeerAddress } from '@bootswarm/tracker-proto';
import { type Logger, pino } from 'pino';
import type { ImageSummary } from './api.ts';
import { BootOrderStore } from './boot-order-store.ts';
import { Catalogue } from './catalogue.ts';
import { DataDir } from './data-dir.ts';
import { GlanceLink, type GlanceOptions } from './glance/glance-link.ts';
import { asAnnounced } from './glance/visibility.ts';
import { HttpApi, type HttpApiOptions } from './http-api.ts';
import { OriginProcess } from './origin-process.ts';
import { CloudWatch } from './overview/cloud-watch.ts';
import { PrefetchDesk } from './prefetch-desk.ts';
import { Publisher } from './publisher.ts';
import { loadSecrets } from './publisher-key.ts';
import { SignalServer } from './signal-server.ts';

export interface TrackerOptions {
  /** Made if it is not there. */
  readonly dataDir: string;
  /** Where HTTP and WebSockets are served; port 0: any. */
  readonly listen: PeerAddress;
  /** Where the origin accepts peers; port 0: any. */
  readonly originListen: PeerAddress;
  /** The most that the origin sends, over all images, in bytes per second. Default: no limit. */
  readonly originBytesPerSecondMax?: number;
  /** Default: info. */
  readonly logLevel?: 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace';
  /** The Glance that images come from; default: none. */
  readonly glance?: GlanceOptions;
  /** The origin's program; default: the one beside this file. */
  readonly originMain?: string;
  /** Where the web page was built to; default: where its build puts it. */
  readonly pageDir?: string;
}

export interface RunningTracker {
  /** http://HOST:PORT, of use on this host: the loopback address when it listens on all. */
  readonly url: string;
  /** Where the origin accepts peers. */
  readonly origin: PeerAddress;
  readonly adminToken: string;
  /** Stops the origin too. Throws when all that can be closed is. */
  close(): Promise<void>;
}

/** Resolves when all is up. Throws OperatorError with a code of the part that failed, or `listen`. */
export async function runTracker(options: TrackerOptions): Promise<RunningTracker> {
  const dataDir = new DataDir(options.dataDir);
  const opened = new UndoSteps();
  opened.push(() => dataDir.unlock());
  const log = openLog(options, opened);
  try {
    return await start(options, dataDir, log, opened);
  } catch (error) {
    await opened.undo().catch((late: unknown) => {
      log.error({ error: messageOf(late) }, 'what was started is not undone');
    });
    throw error;
  }
}

async function start(
  options: TrackerOptions,
  dataDir: DataDir,
  log: Logger,
  opened: UndoSteps,
): Promise<RunningTracker> {
  const secrets = await loadSecrets(dataDir);
  const catalogue = await Catalogue.open(dataDir, log);
  const bootOrders = new BootOrderStore(catalogue, log);
  opened.push(() => bootOrders.close());
  let origin: OriginProcess | undefined;
  const glance = new GlanceLink(options.glance);
  const onAdded = (image: ImageSummary) => signals.imagePublished(image, []);
  const publisher = new Publisher({ catalogue, secrets, onAdded, glance: glance.originals });
  const { openAtOrigin, withdraw } = imageLife({
    catalogue,
    signals: () => signals,
    prefetches: () => prefetches,
    origin: () => origin,
  });
  const api = new HttpApi({
    dataDir: dataDir.path,
    adminToken: secrets.adminToken,
    publisherKey: secrets.publicKeyHex,
    ...{ catalogue, publisher, glance, log, openAtOrigin, withdraw },
    pageDir: options.pageDir,
    signals: () => signals,
    prefetches: () => prefetches,
    origin: () => origin,
    watch: () => watch,
  });
  const watch = new CloudWatch({
    dataDir: dataDir.path,
    catalogue,
    log,
    signals: () => signals,
    hasOrigin: () => origin?.address !== undefined,
  });
  const prefetches = await PrefetchDesk.open(dataDir.path, log, (node, tasks) =>
    signals.tellPrefetch(node, tasks),
  );
  opened.push(() => prefetches.close());
  const signals = new SignalServer({
    prefetches,
    server: api.server,
    publisherKey: secrets.publicKeyHex,
    log,
    onLearned: (image, records) => bootOrders.changed(image, records),
    onReport: (node, report) => watch.report(node, report),
  });
  opened.push(() => signals.close());
  opened.push(() => watch.close());
  for (const image of byAge(catalogue.list())) {
    signals.imagePublished(asAnnounced(image), await bootOrders.read(image.id));
  }
  origin = await startOrigin(options, { dataDir, log, catalogue, signals });
  opened.push(() => origin?.close());
  // Last: whoever gets through finds all images and the origin.
  const url = await listen(api, options.listen);
  opened.push(async () => {
    signals.close();
    await api.close();
  });
  glance.follow({ catalogue, publisher, signals, log, openAtOrigin, withdraw });
  opened.push(() => glance.close());
  log.info({ url, dataDir: dataDir.path, images: catalogue.size }, 'tracker is up');
  const address = origin.address ?? options.originListen;
  return { url, origin: address, adminToken: secrets.adminToken, close: () => opened.undo() };
}

function openLog({ logLevel = 'info' }: TrackerOptions, opened: UndoSteps) {
  const destination = pino.destination({ fd: 2, sync: false });
  opened.push(() => flush(destination));
  return pino({ level: logLevel, name: 'tracker', hooks: LOG_HOOKS }, destination);
}

/** What of an image's life concerns more than the catalogue. */
function imageLife({
  catalogue,
  signals,
  prefetches,
  origin,
}: Pick<HttpApiOptions, 'catalogue' | 'signals' | 'prefetches' | 'origin'>): Pick<
  HttpApiOptions,
  'openAtOrigin' | 'withdraw'
> {
  return {
    openAtOrigin: async (image) => {
      await origin()?.open(image);
      signals().imageSeeded(image);
    },
    withdraw: async (image) => {
      await catalogue.withdraw(image);
      signals().imageWithdrawn(image);
      prefetches().imageWithdrawn(image);
      await origin()?.withdraw(image);
    },
  };
}

function startOrigin(
  options: TrackerOptions,
  {
    dataDir,
    log,
    catalogue,
    signals,
  }: { dataDir: DataDir; log: Logger; catalogue: Catalogue; signals: SignalServer },
): Promise<OriginProcess> {
  return OriginProcess.start({
    dataDir,
    listen: options.originListen,
    bytesPerSecondMax: options.originBytesPerSecondMax,
    log,
    mainPath: options.originMain ?? ORIGIN_MAIN,
    images: () => catalogue.ids(),
    onAddress: (address) => signals.originsChanged([address]),
    onDamaged: (image, reason) => catalogue.markDamaged(image, reason),
  });
}

/** The oldest first: agents are told of the newest if they cannot be told of all. */
function byAge(images: readonly ImageSummary[]): ImageSummary[] {
  return images.toSorted((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
}

/** Run from .ts sources or from what tsc made of them. */
const ORIGIN_MAIN = fileURLToPath(
  new URL(`./origin/main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
);

async function listen({ server }: HttpApi, { host, port }: PeerAddress): Promise<string> {
  try {
    server.listen({ host, port, backlog: LISTEN_BACKLOG });
    await once(server, 'listening');
  } catch (error) {
    throw new OperatorError(
      'listen',
      `Cannot listen on ${host}:${port}: ${messageOf(error)}`,
      'Give an address of this host and a port that is free.',
      { cause: error },
    );
  }
  const { port: actual } = server.address() as AddressInfo;
  const dialled = LOOPBACK_OF[host] ?? host;
  return `http://${dialled.includes(':') ? `[${dialled}]` : dialled}:${actual}`;
}

/** Of the addresses that stand for all of a host's. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** All agents of a cloud reconnect within a second of a restart. The kernel caps it at net.core.somaxconn. */
const LISTEN_BACKLOG = 4_096;

function flush(destination: ReturnType<typeof pino.destination>): Promise<void> {
  return new Promise((resolve) => destination.flush(() => resolve()));
}
