/**
 * Keeps a link for each image of Glance where Nova looks for its base image: instances/_base/SHA1(Glance id), to the image's file
 * in the FUSE directory, and to the cache file while that is whole and a disk needs it. Nova finds its base there and downloads
 * nothing.
 *
 * An image of Glance is one whose signed name is a UUID: nobody but the publisher can say which. Nova's ageing may remove a link,
 * and it comes back while the image is published. One of an image that is withdrawn goes when no instance's disk names it any
 * more.
 */
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { NovaStatus } from '../api.ts';
import { fileNameOf } from '../fuse/image-files.ts';
import type { LocalCopy } from '../local-copy.ts';
import { baseNameOf, baseStateOf, makeLink, moveLink, targetOf } from './base-link.ts';
import { findBaseUsers } from './base-users.ts';
import type { NovaConfig } from './nova-config.ts';

export interface LinkedImage {
  readonly imageId: string;
  /** Signed. */
  readonly name: string;
  readonly localCopy: LocalCopy;
}

export interface NovaLinksOptions {
  readonly instancesDir: string;
  readonly config: NovaConfig;
  readonly fuseDir: string;
  /** Of the images of this node. */
  readonly images: () => Iterable<LinkedImage>;
  /** The path of an image's file in the cache, whether that is open or not. */
  readonly cacheFileOf: (imageId: string) => string;
  readonly isMounted: () => boolean;
  /** Whether links may lead to the cache file. */
  readonly mayUseFile: boolean;
  readonly log: Logger;
}

interface Link {
  readonly imageId: string;
  readonly glanceId: string;
  readonly path: string;
  readonly fuseTarget: string;
  readonly fileTarget: string;
  state: 'swarm' | 'file' | 'foreign' | 'none';
  /** Its file is being read back, so that no piece of it may go. */
  isMoving: boolean;
  retryAt: number;
  /** The code of what was said of it last, so that it is said once. */
  told?: string;
}

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;
const IMAGE_ID = /^[0-9a-f]{40}$/;
/** A head of 64 KiB for each disk, mostly from the page cache. */
const LOOK_AT_DISKS_MS = 10_000;
/** A file that could not be used is looked at again. */
const RETRY_MS = 30_000;

export class NovaLinks {
  readonly #options: NovaLinksOptions;
  readonly #baseDir: string;
  readonly #links = new Map<string, Link>();
  /** Ids of images that the tracker has; undefined until it has told. */
  #published: ReadonlySet<string> | undefined;
  /** Names of base images that disks name; undefined until they were looked at. */
  #used: ReadonlySet<string> | undefined;
  /** Images whose file a link led to when we came, until they are known: the cache may not be open yet. */
  readonly #pinnedBefore = new Set<string>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  #moving: Promise<void> = Promise.resolve();
  #isMoving = false;
  #isClosed = false;
  /** Why no links are kept any more. */
  #refusal: OperatorError | undefined;

  /** Throws OperatorError `nova-instances-missing`. */
  constructor(options: NovaLinksOptions) {
    this.#options = options;
    this.#baseDir = join(options.instancesDir, options.config.baseName);
    makeBaseDir(options.instancesDir, this.#baseDir);
    for (const name of readdirSync(this.#baseDir)) {
      const target = targetOf(join(this.#baseDir, name)) ?? '';
      const imageId = basename(dirname(target));
      const isOurs = IMAGE_ID.test(imageId) && options.cacheFileOf(imageId) === target;
      if (isOurs) this.#pinnedBefore.add(imageId);
    }
    this.#adopt();
  }

  get status(): NovaStatus {
    const links = [...this.#links.values()].map(({ imageId, glanceId, path, state }) => {
      return { image: imageId, glanceId, path, state };
    });
    return { links, refusal: this.#refusal?.message ?? null };
  }

  /** What the tracker has, as it said just now. */
  setPublished(imageIds: Iterable<string>): void {
    this.#published = new Set(imageIds);
  }

  /** Whether the cache file may be read through a link. */
  isPinned(imageId: string): boolean {
    const link = this.#links.get(imageId);
    if (link === undefined) return this.#pinnedBefore.has(imageId);
    return link.state === 'file' || link.isMoving;
  }

  /** Whether a disk of an instance needs it, running or not. */
  isPromised(imageId: string): boolean {
    const link = this.#links.get(imageId);
    return link !== undefined && this.#isUsed(link) && link.state !== 'foreign';
  }

  /** About once a second. */
  tick(now: number): void {
    this.#lookAtDisks(now);
    if (this.#refusal !== undefined) return;
    this.#adopt();
    for (const link of this.#links.values()) {
      try {
        this.#tend(link, now);
      } catch (error) {
        this.#failed(link, 'link-failed', messageOf(error));
      }
    }
  }

  /** Links stay: without an agent they lead nowhere, and Nova downloads as it always did. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#moving;
  }

  /** Images come with sessions; after a restart also those that are withdrawn and linked still. */
  #adopt(): void {
    const { fuseDir, cacheFileOf, images } = this.#options;
    for (const { imageId, name } of images()) {
      if (this.#links.has(imageId) || !UUID.test(name)) continue;
      const path = join(this.#baseDir, baseNameOf(name));
      const fuseTarget = join(fuseDir, fileNameOf(imageId));
      const fileTarget = cacheFileOf(imageId);
      const found = baseStateOf(path, [fuseTarget, fileTarget]);
      const isFile = found.type === 'ours' && found.target === fileTarget;
      const state = isFile ? 'file' : 'none';
      const told = { imageId, glanceId: name, path, fuseTarget, fileTarget };
      this.#pinnedBefore.delete(imageId);
      this.#links.set(imageId, { ...told, state, isMoving: false, retryAt: 0 });
    }
  }

  #tend(link: Link, now: number): void {
    const { fuseTarget, fileTarget, path } = link;
    const found = baseStateOf(path, [fuseTarget, fileTarget]);
    if (this.#isWithdrawn(link)) return this.#letGo(link, found.type === 'ours');
    switch (found.type) {
      case 'foreign':
        link.state = 'foreign';
        return;
      case 'nothing':
        link.state = 'none';
        if (this.#options.isMounted() && this.#published?.has(link.imageId)) this.#make(link);
        return;
      case 'ours':
        link.state = found.target === fileTarget ? 'file' : 'swarm';
        if (link.state === 'file') this.#moveBack(link);
        else this.#moveToFile(link, now);
    }
  }

  #make(link: Link): void {
    if (!makeLink(link.path, link.fuseTarget)) return;
    link.state = 'swarm';
    this.#options.log.info({ image: link.imageId, path: link.path }, 'linked for Nova');
  }

  #isWithdrawn({ imageId }: Link): boolean {
    return this.#published !== undefined && !this.#published.has(imageId);
  }

  #isUsed({ path }: Link): boolean {
    return this.#used === undefined || this.#used.has(path.slice(this.#baseDir.length + 1));
  }

  #letGo(link: Link, isOurs: boolean): void {
    if (isOurs && (this.#isUsed(link) || link.isMoving)) return;
    if (isOurs) {
      rmSync(link.path);
      this.#options.log.info({ image: link.imageId, path: link.path }, 'link for Nova removed');
    }
    this.#links.delete(link.imageId);
  }

  // --- the cache file --------------------------------------------------------------------------------------------------

  #moveToFile(link: Link, now: number): void {
    const { mayUseFile, config, images } = this.#options;
    if (!mayUseFile || !config.isKnown || this.#isMoving || now < link.retryAt) return;
    if (this.#used === undefined || !this.#isUsed(link)) return;
    const image = [...images()].find(({ imageId }) => imageId === link.imageId);
    if (!image?.localCopy.isComplete) return;
    link.retryAt = now + RETRY_MS;
    const closed = openToAll(link.fileTarget);
    if (closed !== undefined) return this.#failed(link, 'cache-closed', closed);
    this.#isMoving = true;
    // From here on no piece of it goes, whatever the cache's limit.
    link.isMoving = true;
    this.#moving = this.#verifyAndMove(link, image.localCopy).finally(() => {
      this.#isMoving = false;
      link.isMoving = false;
    });
  }

  /** No disk needs it: the cache may have its space back. A QEMU that has it open has it locked, which eviction minds. */
  #moveBack(link: Link): void {
    if (this.#isUsed(link) || link.isMoving) return;
    moveLink(link.path, link.fuseTarget);
    link.state = 'swarm';
  }

  async #verifyAndMove(link: Link, copy: LocalCopy): Promise<void> {
    const { path, fuseTarget, fileTarget, imageId } = link;
    try {
      await copy.verified();
      if (this.#isClosed || baseStateOf(path, [fuseTarget]).type !== 'ours') return;
      link.state = 'file';
      moveLink(path, fileTarget);
      this.#options.log.info({ image: imageId, path }, 'Nova reads the local file');
    } catch (error) {
      const code = error instanceof OperatorError ? error.code : 'failed';
      this.#failed(link, code, messageOf(error));
    }
  }

  #failed(link: Link, code: string, error: string): void {
    if (link.told === code) return;
    link.told = code;
    this.#options.log.warn({ image: link.imageId, path: link.path, code, error }, 'link for Nova');
  }

  // --- instances -------------------------------------------------------------------------------------------------------

  #lookAtDisks(now: number): void {
    if (this.#isLooking || now - this.#lookedAt < LOOK_AT_DISKS_MS) return;
    this.#lookedAt = now;
    this.#isLooking = true;
    const { instancesDir, config, log } = this.#options;
    const names = [...this.#links.values()].map(({ path }) => path.slice(this.#baseDir.length + 1));
    findBaseUsers(instancesDir, config.baseName, names)
      .then(({ used, links }) => {
        this.#used = used;
        this.#refuseCopies(links);
      })
      .catch((error: unknown) => {
        // Nothing is taken for unused then.
        this.#used = undefined;
        log.warn({ error: messageOf(error) }, 'disks of instances not looked at');
      })
      .finally(() => {
        this.#isLooking = false;
      });
  }

  /** The Flat back end at work, whatever nova.conf says: no further VM is to be made so. */
  #refuseCopies(disks: ReadonlyMap<string, string>): void {
    const { fuseDir, cacheFileOf } = this.#options;
    const isOurs = (target: string): boolean => {
      const imageId = basename(dirname(target));
      if (dirname(target) === fuseDir) return true;
      return IMAGE_ID.test(imageId) && cacheFileOf(imageId) === target;
    };
    const [disk] = [...disks].find(([, target]) => isOurs(target)) ?? [];
    if (disk === undefined || this.#refusal !== undefined) return;
    this.#refusal = new OperatorError(
      'nova-flat-backend',
      `${disk} is a link to an image that all VMs share: Nova copies base images instead of overlaying them`,
      'Remove that instance, set images_type=qcow2 in [libvirt] of nova.conf, and start the agent again.',
    );
    const { message, hint } = this.#refusal;
    this.#options.log.error({ error: message, hint }, 'no links are kept for Nova');
    for (const { path, fuseTarget, fileTarget } of this.#links.values()) {
      const found = baseStateOf(path, [fuseTarget, fileTarget]);
      if (found.type === 'ours') rmSync(path, { force: true });
    }
  }
}

/** As Nova makes it, and for Nova. */
function makeBaseDir(instancesDir: string, baseDir: string): void {
  const instances = statSync(instancesDir, { throwIfNoEntry: false });
  if (!instances?.isDirectory()) {
    throw new OperatorError(
      'nova-instances-missing',
      `${instancesDir} is no directory`,
      'Give the instances_path of nova.conf (/var/lib/nova/instances) with --nova-instances.',
    );
  }
  if (statSync(baseDir, { throwIfNoEntry: false })) return;
  mkdirSync(baseDir);
  // Whatever the umask: QEMU reads through it as a user of its own.
  chmodSync(baseDir, 0o755);
  chownSync(baseDir, instances.uid, instances.gid);
}

/**
 * Nova, libvirt and QEMU are users of their own, and Nova's own base images can be read by all: so can this file then, and the
 * two directories of ours that it is in be passed. Returns why that is not enough.
 */
function openToAll(path: string): string | undefined {
  const ours = [path, dirname(path), dirname(dirname(path))];
  for (let at = path; ; at = dirname(at)) {
    const { mode } = statSync(at);
    const needed = at === path ? 0o044 : 0o011;
    if ((mode & needed) !== needed) {
      if (!ours.includes(at)) return `${at} is closed to the user that QEMU runs as`;
      chmodSync(at, (mode & 0o7777) | needed);
    }
    if (at === dirname(at)) return undefined;
  }
}
