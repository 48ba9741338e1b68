/**
 * The agent of one compute node: joins what the packages do into one daemon, and answers the control API. Images, swarms, exports
 * and VMs each have an owner; this file decides what follows for one from an event of another.
 */
import type { ImageFill } from '@bootswarm/copy';
import type { GlanceClient } from '@bootswarm/openstack';
import { residentBytes } from '@bootswarm/rest';
import { OperatorError } from '@bootswarm/stdx';
import { noReadBytes } from '@bootswarm/swarm-driver';
import type { Alarm } from '@bootswarm/tracker-proto';
import type {
  AgentStatus,
  ExportInfo,
  FuseStatus,
  NbdStatus,
  Supervision,
  TouchedPieces,
  UpgradeInfo,
  VmInfo,
  VmStatus,
} from './api.ts';
import type { Attachments } from './attachments.ts';
import type { CacheKeeper } from './cache-keeper.ts';
import { CopyDesk } from './copy-desk.ts';
import type { GlanceProxy } from './glance-proxy/glance-proxy.ts';
import type { ImageCopy } from './image-copy.ts';
import type { ImageExport } from './image-export.ts';
import type { ImageLibrary } from './image-library.ts';
import type { ImageSession } from './image-session.ts';
import type { ExportDirectory } from './nbd/export-source.ts';
import { sessionImages } from './session-images.ts';
import type { AutoPivot } from './vm/auto-pivot.ts';
import type { VmMover } from './vm/vm-mover.ts';
import type { VmRecord } from './vm/vm-record.ts';
import type { VmCreation, VmRegistry } from './vm/vm-registry.ts';

/** What the agent is told about itself, for `status`. */
export interface AgentFacts {
  readonly version: string;
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  readonly trackerUrl: string;
  readonly peerAddress: string;
  readonly cacheDir: string;
  readonly nbdSocket: string;
}

export interface AgentParts {
  readonly facts: AgentFacts;
  readonly library: ImageLibrary;
  readonly vms: VmRegistry;
  readonly mover: VmMover;
  readonly autoPivot: AutoPivot;
  readonly attachments: Attachments;
  readonly keeper: CacheKeeper;
  readonly isTrackerConnected: () => boolean;
  readonly nbd: () => NbdStatus;
  /** Cuts the NBD connections of an export. */
  readonly cutExport: (exportName: string) => void;
  /** Where copies are made for others; undefined: nowhere. */
  readonly copiesDirectory?: string;
  readonly copiesGlance?: GlanceClient;
  /** See AgentOptions. */
  readonly prepareSuccessor?: () => Promise<void>;
  readonly supervision?: () => Supervision;
}

/** Whoever copies asks several times a second; one that died is forgotten soon. */
const ORDERED_MS = 10_000;

export class Agent implements ExportDirectory {
  /** Once it listens. */
  glanceProxy: GlanceProxy | undefined;
  /** Set when somebody looks for them. */
  alarms: () => readonly Alarm[] = () => [];
  /** The directory of images as files, where there is one. */
  fuse: { readonly status: FuseStatus } | undefined;
  readonly #parts: AgentParts;
  readonly #copies: CopyDesk;
  readonly #startedAt = performance.now();
  readonly #replaced = Promise.withResolvers<void>();

  constructor(parts: AgentParts) {
    this.#parts = parts;
    const images = sessionImages((image) => this.#ordered(image));
    this.#copies = new CopyDesk(parts.copiesDirectory, images, parts.copiesGlance);
  }

  get version(): string {
    return this.#parts.facts.version;
  }

  /** ExportDirectory: IMAGEID is there while attached, IMAGEID@VM while the VM exists. */
  find(exportName: string): ImageExport | undefined {
    const { library, vms } = this.#parts;
    const at = exportName.indexOf('@');
    const session = library.get(at < 0 ? exportName : exportName.slice(0, at));
    if (session === undefined) return undefined;
    if (at < 0) return session.isAttached ? session.exportFor('') : undefined;
    const name = exportName.slice(at + 1);
    const vm = vms.list().find((each) => each.name === name);
    return vm?.image === session.id ? session.exportFor(name) : undefined;
  }

  /** ExportDirectory: what was attached by hand; a VM's export is nobody else's business. */
  list(): string[] {
    return [...this.#parts.library.sessions].filter((each) => each.isAttached).map(({ id }) => id);
  }

  async attach(image: string): Promise<ExportInfo> {
    const session = await this.#wanted(image);
    this.#parts.attachments.set(session.id, true);
    session.isAttached = true;
    const socket = this.#parts.facts.nbdSocket;
    return {
      image: session.id,
      imageName: session.metainfo.name,
      length: session.metainfo.length,
      socket,
      export: session.id,
      uri: `nbd+unix:///${session.id}?socket=${encodeURI(socket)}`,
    };
  }

  /** A copy of the image that goes by this Glance id, for whom Glance has shown it; undefined: the swarm has none for him. */
  async copyOfGlance(glanceId: string, token: string | undefined): Promise<ImageCopy | undefined> {
    const { library } = this.#parts;
    const here = [...library.sessions].find(({ metainfo }) => metainfo.name === glanceId);
    if (here !== undefined) return here.openCopy();
    try {
      return (await this.#wanted(glanceId, token)).openCopy();
    } catch (error) {
      if (error instanceof OperatorError && error.code === 'image-not-found') return undefined;
      throw error;
    }
  }

  detach(image: string): void {
    const session = this.#parts.library.find(image);
    if (!session.isAttached) {
      throw new OperatorError(
        'not-attached',
        `Image ${session.metainfo.name} is not attached on this node`,
        'List what is with: bootswarm status',
      );
    }
    this.#parts.attachments.set(session.id, false);
    session.isAttached = false;
    this.#parts.cutExport(session.id);
  }

  async createVm(image: string, name: string, creation: VmCreation): Promise<VmInfo> {
    const session = await this.#wanted(image);
    const { metainfo, id } = session;
    const of = { id, name: metainfo.name, length: metainfo.length };
    await this.#parts.vms.create(of, name, creation);
    // Opened again if it was evicted meanwhile: nobody knew yet that it would be needed.
    (await this.#wanted(id)).exportFor(name);
    await this.#parts.autoPivot.created(name);
    return this.#parts.vms.get(name);
  }

  vm(name: string): VmInfo {
    return this.#parts.vms.get(name);
  }

  async pivotVm(name: string): Promise<VmStatus> {
    return this.#statusOf(await this.#parts.mover.pivot(name));
  }

  async rebaseVm(name: string, to: 'local' | 'swarm'): Promise<VmStatus> {
    const { vms, mover } = this.#parts;
    // What it is to read is to be there when it starts.
    const { image } = vms.get(name);
    if (to === 'swarm') (await this.#wanted(image)).exportFor(name);
    return this.#statusOf(await mover.rebase(name, to));
  }

  async flattenVm(name: string): Promise<VmStatus> {
    const { library, mover } = this.#parts;
    const flat = await mover.flatten(name);
    library.get(flat.image)?.dropExport(name);
    return this.#statusOf(flat);
  }

  async removeVm(name: string, force: boolean): Promise<void> {
    const { image, export: exportName } = await this.#parts.vms.remove(name, { force });
    this.#parts.cutExport(exportName);
    this.#parts.library.get(image)?.dropExport(name);
  }

  vmStatuses(): VmStatus[] {
    return this.#parts.vms.list().map((vm) => this.#statusOf(vm));
  }

  #statusOf(vm: VmRecord): VmStatus {
    const { name, image, imageName, overlay, createdAt, backing, isMoving = false } = vm;
    const session = backing === 'none' ? undefined : this.#parts.library.get(image);
    const found = session?.exportFor(name);
    const connections = found?.connections ?? 0;
    const read = found?.read ?? noReadBytes();
    return { name, image, imageName, overlay, createdAt, backing, isMoving, connections, read };
  }

  status(): AgentStatus {
    const { facts, library, keeper, isTrackerConnected, nbd } = this.#parts;
    const { trackerUrl, ...rest } = facts;
    return {
      ...rest,
      nbd: nbd(),
      ...(this.fuse && { fuse: this.fuse.status }),
      pid: process.pid,
      uptimeSeconds: Math.round((performance.now() - this.#startedAt) / 1_000),
      tracker: { url: trackerUrl, isConnected: isTrackerConnected() },
      cache: keeper.status(),
      rssBytes: residentBytes(),
      images: [...library.sessions].map((each) => ({ ...each.status(), ...keeper.useOf(each.id) })),
      vms: this.vmStatuses(),
      ...(this.glanceProxy && { glanceProxy: this.glanceProxy.status() }),
      supervision: this.#parts.supervision?.() ?? { by: 'nobody' },
      alarms: this.alarms(),
    };
  }

  /** Has the image filled at full speed for as long as somebody asks again, and says what there is. */
  async fill(image: string): Promise<ImageFill> {
    const session = await this.#ordered(image);
    const info = Buffer.from(session.metainfo.infoBytes).toString('base64');
    const held = Buffer.from(session.held.toBytes()).toString('base64');
    return { image: session.id, info, path: session.localCopy.path, held };
  }

  get copies(): CopyDesk {
    return this.#copies;
  }

  pieceLayer(image: string): Uint8Array {
    return this.#parts.library.find(image).pieceLayer.bytes;
  }

  touched(image: string): TouchedPieces {
    const { metainfo, reader } = this.#parts.library.find(image);
    const { imageId, pieceCount, pieceLength, length } = metainfo;
    const bitfield = Buffer.from(reader.touched.toBytes()).toString('base64');
    return { image: imageId, pieceCount, pieceLength, length, bitfield };
  }

  /**
   * Opens what guests are promised and the cache could not give: metainfo that is damaged or gone is fetched again. Called when
   * the tracker is there; `onFailed` is told of each image that it could not give either.
   */
  async openPromised(onFailed: (image: string, error: unknown) => void): Promise<void> {
    const { library, vms, attachments } = this.#parts;
    const ofVms = vms.list().filter(({ backing }) => backing !== 'none');
    const promised = new Set([...attachments.images, ...ofVms.map(({ image }) => image)]);
    for (const image of promised) {
      if (library.get(image) !== undefined) continue;
      await library.ensure(image).catch((error: unknown) => onFailed(image, error));
    }
  }

  /** Throws OperatorError `image-not-found` or `image-in-use`. */
  async evict(image: string): Promise<void> {
    const { library, keeper } = this.#parts;
    const session = library.find(image);
    if (!keeper.isInUse(session.id)) return library.evict(session.id);
    throw new OperatorError(
      'image-in-use',
      `Image ${session.metainfo.name} is attached on this node, or a VM, a copy or a pin needs it`,
      'Detach it, remove its VMs and cancel its prefetch orders first: see bootswarm status, and prefetch list.',
    );
  }

  /** Resolves when leave() was called. */
  get replaced(): Promise<void> {
    return this.#replaced.promise;
  }

  /**
   * Has a successor made ready, with the code that is on the disk now. Throws OperatorError `no-successor` or `upgrade-failed`;
   * nothing has changed then.
   */
  async prepareUpgrade(): Promise<UpgradeInfo> {
    const { prepareSuccessor, facts } = this.#parts;
    if (prepareSuccessor === undefined) {
      throw new OperatorError(
        'no-successor',
        'Nobody would start this agent again: it has no socket holder, nor sockets of systemd',
        'Start it without --holder no. Until then: stop it, and start it again at once; guests wait.',
      );
    }
    await prepareSuccessor();
    return { pid: process.pid, version: facts.version };
  }

  /** Makes way for the successor. */
  leave(): void {
    this.#replaced.resolve();
  }

  /** The tracker serves it no longer: without a guest it is let go, with one it stays as it is. */
  async withdrawn(imageId: string): Promise<void> {
    const { library, keeper } = this.#parts;
    if (library.get(imageId) && !keeper.isInUse(imageId)) await library.release(imageId);
  }

  /** Opens it for somebody who wants all of it, and will ask again. */
  async #ordered(image: string): Promise<ImageSession> {
    const session = await this.#wanted(image);
    if (!session.canKeep && !session.held.isFull) {
      throw new OperatorError(
        'cache-full',
        `The cache of this node has no room for the rest of image ${session.metainfo.name}`,
        'Free space there, or raise --cache-max; then run the same copy again: it goes on where it stopped.',
      );
    }
    session.order(ORDERED_MS);
    return session;
  }

  /** Opens it for a guest that is about to come: it is not evicted for a while. */
  async #wanted(image: string, token?: string): Promise<ImageSession> {
    const { library } = this.#parts;
    for (;;) {
      const session = await library.ensure(image, token);
      session.wantedAt = Date.now();
      // It may have been evicted since ensure() found it.
      if (library.get(session.id) === session) return session;
    }
  }
}
