/** Starts the FUSE directory of an agent, and what lives of it: the list of published images, and Nova's links. */
import type { Credentials } from '@bootswarm/openstack';
import type { UndoSteps } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { FuseStatus } from '../api.ts';
import type { CacheKeeper } from '../cache-keeper.ts';
import { CatalogueClient, catalogueIdentity } from '../catalogue-client.ts';
import type { InheritedSockets } from '../holder/inherited-sockets.ts';
import type { ImageLibrary } from '../image-library.ts';
import { readNovaConfig } from '../nova/nova-config.ts';
import { NovaLinks } from '../nova/nova-links.ts';
import { PublishedImages } from '../published-images.ts';
import { mountFuse } from './fuse-mount.ts';
import { FuseServer } from './fuse-server.ts';
import { ImageFiles } from './image-files.ts';
import { OpenFiles, openFilesDir } from './open-files.ts';

export interface FuseOptions {
  /** Where it is mounted, an absolute path. */
  readonly directory: string;
  /** Where links are kept for Nova; default: nowhere. */
  readonly nova?: {
    /** Nova's instances_path. */
    readonly instancesDir: string;
    /** nova.conf; default: where distributions have it. */
    readonly configFile?: string;
  };
}

/** What an agent that starts has by then. */
export interface FuseParts {
  readonly options: {
    readonly trackerUrl: string;
    readonly runDir: string;
    readonly nbdReplyBytes: number;
    readonly pivot: boolean;
    readonly sockets?: InheritedSockets;
    readonly openstackCredentials?: Credentials;
  };
  readonly fuse: FuseOptions;
  readonly library: ImageLibrary;
  readonly keeper: CacheKeeper;
  readonly cache: { fileOf(imageId: string): string };
  readonly log: Logger;
  /** What undoes the steps taken so far. */
  readonly opened: UndoSteps;
}

const TICK_MS = 1_000;

/** Throws OperatorError, of fuse-mount.ts, nova-config.ts or nova-links.ts. */
export function serveFuse(parts: FuseParts): { readonly status: FuseStatus } {
  const { options, library, opened, log } = parts;
  // Before there is anything to undo.
  const config = parts.fuse.nova && readNovaConfig(parts.fuse.nova.configFile);
  const server = startServer(parts);
  const nova = config && startLinks(parts, config, () => server.status.isMounted);
  const catalogue = new CatalogueClient(
    options.trackerUrl,
    catalogueIdentity(options.openstackCredentials),
  );
  const published = new PublishedImages({
    list: () => catalogue.list(),
    has: (imageId) => library.get(imageId) !== undefined,
    open: (imageId) => library.ensure(imageId),
    onListed: (imageIds) => nova?.setPublished(imageIds),
    log,
  });
  const tick = (): void => {
    published.tick(performance.now());
    nova?.tick(performance.now());
  };
  const timer = setInterval(tick, TICK_MS);
  opened.push(async () => {
    clearInterval(timer);
    published.close();
    await nova?.close();
  });
  tick();
  const { directory } = parts.fuse;
  return {
    get status() {
      return { directory, ...server.status, ...(nova && { nova: nova.status }) };
    },
  };
}

/** Mounted by the socket holder, or here and for as long as this agent lives. */
function startServer({ options, fuse, library, keeper, log, opened }: FuseParts): FuseServer {
  const { runDir, sockets, nbdReplyBytes } = options;
  const isHeld = sockets?.fuse !== undefined;
  const mount = isHeld ? undefined : mountFuse(fuse.directory, openFilesDir(runDir));
  const open = new OpenFiles(runDir);
  const { isPromised } = keeper;
  keeper.isPromised = (id) => isPromised(id) || open.isOpen(id);
  const server = new FuseServer({
    fd: sockets?.fuse ?? mount!.fd,
    files: new ImageFiles(library),
    open,
    replyBytesMax: nbdReplyBytes,
    ensure: (imageId) => library.ensure(imageId),
    log,
  });
  opened.push(() => {
    mount?.unmount();
    server.close();
  });
  return server;
}

function startLinks(
  { options, fuse, library, keeper, cache, log }: FuseParts,
  config: ReturnType<typeof readNovaConfig>,
  isMounted: () => boolean,
): NovaLinks {
  const links = new NovaLinks({
    instancesDir: fuse.nova!.instancesDir,
    config,
    fuseDir: fuse.directory,
    images: function* () {
      for (const { id, metainfo, localCopy } of library.sessions) {
        yield { imageId: id, name: metainfo.name, localCopy };
      }
    },
    cacheFileOf: (imageId) => cache.fileOf(imageId),
    isMounted,
    mayUseFile: options.pivot,
    log,
  });
  const { isPromised, isPinned } = keeper;
  keeper.isPromised = (id) => isPromised(id) || links.isPromised(id);
  keeper.isPinned = (id) => isPinned(id) || links.isPinned(id);
  return links;
}
