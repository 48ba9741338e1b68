/** Starts an agent from its options and stops it in order: sockets, files and timers are wired here and nowhere else. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CacheDirectory } from '@bootswarm/piece-store';
import { LOG_HOOKS, messageOf, UndoSteps } from '@bootswarm/stdx';
import { SwarmHost } from '@bootswarm/swarm-driver';
import type { NodeIdentity } from '@bootswarm/tracker-proto';
import pino, { type Logger } from 'pino';
import { Agent } from './agent.ts';
import type { AgentOptions } from './agent-options.ts';
import { Attachments } from './attachments.ts';
import { CacheKeeper } from './cache-keeper.ts';
import { CatalogueClient, catalogueIdentity } from './catalogue-client.ts';
import { ControlApi } from './control-api.ts';
import { serveFuse } from './fuse/serve-fuse.ts';
import { serveGlance } from './glance-proxy/serve-glance.ts';
import { ImageLibrary } from './image-library.ts';
import { GuestListeners } from './nbd/guest-listeners.ts';
import { listenerLog } from './nbd/listener-log.ts';
import { type PrefetchRunner, prefetchRunnerOf } from './prefetch-runner.ts';
import { Prejoiner } from './prejoiner.ts';
import { PublisherPin } from './publisher-pin.ts';
import { isOutOfReach, selfMember } from './self-member.ts';
import { SignalClient, signalUrlOf } from './signal-client.ts';
import { logSwarmEvent, logWireMistake } from './swarm-log.ts';
import { ErrorCounts } from './telemetry/error-counts.ts';
import { MetricsListener } from './telemetry/metrics-listener.ts';
import { Telemetry } from './telemetry/telemetry.ts';
import { AutoPivot } from './vm/auto-pivot.ts';
import { VmMover } from './vm/vm-mover.ts';
import { VmRegistry } from './vm/vm-registry.ts';

export interface RunningAgent {
  readonly agent: Agent;
  /** Resolves when it is to be closed because its successor is ready. */
  readonly replaced: Promise<void>;
  /** Cuts its guests, unanswered, when what they read is safe in the cache. Throws when all that can be closed is. */
  close(): Promise<void>;
}

const VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  }
).version;
const TICK_MS = 1_000;
/** For QEMU's handshake, four round trips, and a first read of what is in the cache. */
const GUESTS_FIRST_MS = 10;

/** What every step of a start is given. */
interface Start {
  readonly options: AgentOptions;
  readonly log: Logger;
  readonly errors: ErrorCounts;
  /** What undoes the steps taken so far. */
  readonly opened: UndoSteps;
}

/** The cache and the swarms of the images in it. */
interface Swarms {
  readonly cache: CacheDirectory;
  readonly library: ImageLibrary;
  readonly attachments: Attachments;
  readonly keeper: CacheKeeper;
  /** This node, and where peers dial it. */
  readonly self: NodeIdentity;
}

/** The VMs of this node, and what moves them. */
interface Guests {
  readonly vms: VmRegistry;
  readonly mover: VmMover;
  readonly autoPivot: AutoPivot;
}

export async function runAgent(options: AgentOptions): Promise<RunningAgent> {
  const log = pino(
    { name: 'agent', level: options.logLevel, hooks: LOG_HOOKS },
    pino.destination({ fd: 2, sync: false }),
  );
  const opened = new UndoSteps();
  opened.push(() => log.flush());
  const close = (): Promise<void> => opened.undo();
  try {
    const agent = await start({ options, log, errors: new ErrorCounts(), opened });
    log.info({ node: options.node, version: VERSION }, 'agent is up');
    return { agent, replaced: agent.replaced, close };
  } catch (error) {
    await close().catch((late: unknown) => {
      log.error({ error: messageOf(late) }, 'what was started is not undone');
    });
    throw error;
  }
}

/** Guests first: what is in the cache is exported before the tracker has answered, or is even there. */
async function start(parts: Start): Promise<Agent> {
  const { options, opened, log } = parts;
  let signal: SignalClient | undefined;
  const swarms = await openSwarms(parts, () => signal);
  const guests = await openVms(parts, swarms);
  const { library, cache, keeper } = swarms;
  const prefetches = prefetchRunnerOf(library, cache.path, parts.log, (said) => signal?.tell(said));
  keeper.keepToo((image) => prefetches.isPinned(image));
  const agent = await serveGuests(parts, swarms, guests, () => signal?.state === 'connected');
  if (options.fuse) agent.fuse = serveFuse({ ...parts, ...swarms, fuse: options.fuse });
  // Those that an agent before us has left waiting; what follows would keep the event loop from them.
  if (options.sockets?.nbd !== undefined) await delay(GUESTS_FIRST_MS);
  const telemetry = openTelemetry(parts, swarms, agent);
  signal = startSignalling(parts, swarms, agent, { telemetry, prefetches });
  opened.push(() => signal.close());
  const control = new ControlApi(agent, telemetry, parts);
  await control.listen(join(options.runDir, 'agent.sock'));
  opened.push(() => control.close());
  if (options.metrics !== undefined) {
    const listener = await MetricsListener.listen(options.metrics, () => telemetry.metrics);
    opened.push(() => listener.close());
  }
  opened.push(() => agent.copies.close());
  const timer = setInterval(() => {
    tick(swarms, guests.autoPivot);
    prefetches.tick();
    telemetry.tick(signal);
  }, TICK_MS);
  opened.push(() => clearInterval(timer));
  writeRunFile(options, agent, opened);
  if (options.glanceProxy) await serveGlance(options.glanceProxy, agent, log, opened);
  // The first to be undone: guests are served while what takes longest is done.
  opened.push(() => commitCaches(swarms.library, parts.log));
  return agent;
}

/** Whatever image is joined or given up, now or later, `signal` is told once it is there. */
async function openSwarms(parts: Start, signal: () => SignalClient | undefined): Promise<Swarms> {
  const { options, log, opened } = parts;
  const { node, zone, rack } = options;
  const cache = await CacheDirectory.open(options.cacheDir);
  opened.push(() => cache.close());
  mkdirSync(options.runDir, { recursive: true, mode: 0o750 });
  const host = new SwarmHost({
    listen: { ...options.listen, fd: options.sockets?.peers },
    self: { kind: 'ours', node, zone, rack, isOrigin: false },
    foreignPeersAllowed: options.foreignPeers,
    onEvent: (image, event) => {
      logSwarmEvent(log, parts.errors, image, event);
      if (event.type === 'members-suspected') signal()?.suspect(image, event.nodes);
    },
    onMistake: (error, address) => logWireMistake(log, error, address),
  });
  const listening = await host.listen();
  opened.push(() => host.close());
  const self = selfMember(options, listening);
  const attachments = new Attachments(cache.path);
  let keeper: CacheKeeper | undefined;
  const library = new ImageLibrary({
    cache,
    catalogue: new CatalogueClient(
      options.trackerUrl,
      catalogueIdentity(options.openstackCredentials),
    ),
    pin: new PublisherPin(cache.path, options.publisherKey),
    host,
    hotBytesMax: options.hotBytes,
    fill: options.fill,
    known: options.known,
    log,
    onJoining: (image) => signal()?.join(image, library.get(image)?.piecesHad ?? 0),
    onGivenUp: (image) => signal()?.leave(image),
    onTouched: (image, touches) => signal()?.touched(image, touches),
    onOpened: (session) => {
      session.isAttached = attachments.has(session.id);
      keeper?.admit(session);
    },
  });
  opened.push(() => library.close());
  await library.openCached();
  const { scrubBytesPerSecond, cacheBytesMax, evictRunning = false } = options;
  const limits = { scrubBytesPerSecond, cacheBytesMax, evictRunning };
  keeper = new CacheKeeper({ cache, library, log, ...limits });
  opened.push(() => keeper.close());
  return { cache, library, attachments, keeper, self };
}

async function openVms(
  { options, log, opened }: Start,
  { cache, library, attachments, keeper }: Swarms,
): Promise<Guests> {
  const vms = await VmRegistry.open({
    directory: options.vmDir ?? cache.path,
    nbdSocketPath: join(options.runDir, 'nbd.sock'),
    accelerators: options.accelerators,
  });
  // Their images are wanted, whether they run or not.
  for (const { image, name, backing } of vms.list()) {
    if (backing !== 'none') library.get(image)?.exportFor(name);
  }
  keeper.isPromised = (id) => attachments.has(id) || vms.needsImage(id);
  keeper.isPinned = (id) => vms.isPinned(id);
  for (const problem of vms.problems) log.error({ error: problem.message }, 'VM not loaded');
  const mover = new VmMover({
    vms,
    localCopy: (image) => library.find(image).localCopy.verified(),
  });
  const autoPivot = new AutoPivot({
    isEnabled: options.pivot,
    ...{ vms, mover, log },
    localCopy: (image) => library.get(image)?.localCopy,
    isConnected: ({ image, name }) => (library.get(image)?.exportFor(name).connections ?? 0) > 0,
  });
  opened.push(() => autoPivot.close());
  opened.push(() => {
    mover.close();
    for (const { localCopy } of library.sessions) void localCopy.close();
  });
  return { vms, mover, autoPivot };
}

async function serveGuests(
  { options, log, errors, opened }: Start,
  { cache, library, attachments, keeper, self }: Swarms,
  guests: Guests,
  isTrackerConnected: () => boolean,
): Promise<Agent> {
  const { node, zone, rack, trackerUrl } = options;
  const { nbdSocketPath: nbdSocket } = guests.vms;
  const agent = new Agent({
    facts: {
      version: VERSION,
      node,
      zone,
      rack,
      trackerUrl,
      peerAddress: peerAddress(self.address.host || options.listen.host, self.address.port),
      cacheDir: cache.path,
      nbdSocket,
    },
    library,
    ...guests,
    attachments,
    keeper,
    isTrackerConnected,
    nbd: () => listeners.status,
    cutExport: (name) => listeners.cut(name),
    prepareSuccessor: options.prepareSuccessor,
    supervision: options.supervision,
    copiesDirectory: options.copiesDirectory,
    copiesGlance: options.copiesGlance,
  });
  const listeners = await GuestListeners.listen({
    path: nbdSocket,
    fd: options.sockets?.nbd,
    tcp: options.nbdTcp,
    tcpMayWait: options.isRestart ?? false,
    replyBytesMax: options.nbdReplyBytes,
    directory: agent,
    onEvent: listenerLog(log, undefined, errors),
  });
  opened.push(() => listeners.close());
  return agent;
}

function startSignalling(
  { options, log, errors, opened }: Start,
  { library, self }: Swarms,
  agent: Agent,
  { telemetry, prefetches }: { telemetry: Telemetry; prefetches: PrefetchRunner },
): SignalClient {
  let isWarned = false;
  const prejoiner = prejoinerOf(library, log);
  const signal = new SignalClient({
    url: signalUrlOf(options.trackerUrl),
    self,
    onMembers: (image, { members, origins }) => {
      const asDialled = members.map(({ address, ...names }) => ({ ...names, ...address }));
      library.setMembers(image, { members: asDialled, origins });
      if (isWarned || !isOutOfReach(self.node, members)) return;
      isWarned = true;
      log.warn('the tracker sees this node on loopback: others cannot dial it without --advertise');
    },
    onJoining: (image) => library.rejoin(image),
    onBootOrder: (image, order) => library.applyOrder(image, order),
    onStateChange: (state, reason) => {
      log.info({ state, reason }, 'tracker');
      if (state !== 'connected') return;
      telemetry.welcomed();
      void openPromised(agent, log);
      prefetches.connected();
    },
    onPublisherKey: (publisherKey) => log.debug({ publisherKey }, 'tracker'),
    onPublished: (image) => {
      if (options.prejoin) prejoiner.published(image);
    },
    onPrefetch: (tasks) => prefetches.replace(tasks),
    onWithdrawn: (image) => {
      agent.withdrawn(image).catch((error: unknown) => {
        log.error({ image, error: messageOf(error) }, 'withdrawn image not let go');
      });
    },
    onRefused: (image, code, message) => {
      errors.add('tracker', code);
      log.warn({ image, code, message }, 'join refused');
    },
    onMistake: (error) => log.error({ err: error }, 'message of the tracker not handled'),
  });
  opened.push(() => prejoiner.close());
  for (const { imageId, piecesHad } of library.memberships()) signal.join(imageId, piecesHad);
  return signal;
}

function openTelemetry({ options, log, errors, opened }: Start, swarms: Swarms, agent: Agent) {
  const { node } = options;
  const { cache, library } = swarms;
  const status = () => agent.status();
  const telemetry = new Telemetry({ node, cacheDir: cache.path, log, library, errors, status });
  agent.alarms = () => telemetry.alarms;
  opened.push(() => telemetry.close());
  return telemetry;
}

/** What a disk refuses now is told again, and dealt with, when the caches are closed. */
async function commitCaches(library: ImageLibrary, log: Logger): Promise<void> {
  await library.commit().catch((error: unknown) => {
    log.warn({ error: messageOf(error) }, 'caches not flushed');
  });
}

function prejoinerOf(library: ImageLibrary, log: Logger): Prejoiner {
  return new Prejoiner({
    imageCount: () => [...library.sessions].length,
    has: (image) => library.get(image) !== undefined,
    open: (image) => library.ensure(image),
    onFailed: (image, error) =>
      log.warn({ image, error: messageOf(error) }, 'image not joined ahead'),
  });
}

function openPromised(agent: Agent, log: Logger): Promise<void> {
  return agent.openPromised((image, error) => {
    log.error({ image, error: messageOf(error) }, 'image of a guest not opened');
  });
}

function tick({ library, keeper }: Swarms, autoPivot: AutoPivot): void {
  library.tick();
  keeper.tick(performance.now());
  autoPivot.tick(performance.now());
}

/** HOST:PORT, an IPv6 address in brackets. */
function peerAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** RUN/agent.json: for commands that are given the run directory only. */
function writeRunFile(options: AgentOptions, agent: Agent, opened: UndoSteps): void {
  const path = join(options.runDir, 'agent.json');
  const { pid, node, peerAddress, nbdSocket } = agent.status();
  const { trackerUrl } = options;
  writeFileSync(path, `${JSON.stringify({ pid, node, trackerUrl, peerAddress, nbdSocket })}\n`);
  opened.push(() => rmSync(path, { force: true }));
}
