/** Starts the FUSE directory of an agent: mounted by its socket holder, or by the agent itself where it has none. */
import type { Logger } from 'pino';
import type { FuseStatus } from '../api.ts';
import type { CacheKeeper } from '../cache-keeper.ts';
import type { InheritedSockets } from '../holder/inherited-sockets.ts';
import type { ImageLibrary } from '../image-library.ts';
import { mountFuse } from './fuse-mount.ts';
import { FuseServer } from './fuse-server.ts';
import { ImageFiles } from './image-files.ts';
import { OpenFiles, openFilesDir } from './open-files.ts';

export interface FuseOptions {
  /** Where it is mounted, an absolute path. */
  readonly directory: string;
}

export interface FuseParts {
  readonly options: {
    readonly runDir: string;
    readonly nbdReplyBytes: number;
    readonly sockets?: InheritedSockets;
  };
  readonly fuse: FuseOptions;
  readonly library: ImageLibrary;
  readonly keeper: CacheKeeper;
  readonly log: Logger;
  readonly opened: (() => unknown)[];
}

/** Throws OperatorError `fuse-unavailable` or `fuse-directory-in-use`. */
export function serveFuse({ options, fuse, library, keeper, log, opened }: FuseParts): {
  readonly status: FuseStatus;
} {
  const { runDir, sockets, nbdReplyBytes } = options;
  const { directory } = fuse;
  const mount =
    sockets?.fuse === undefined ? mountFuse(directory, openFilesDir(runDir)) : undefined;
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
  return {
    get status() {
      return { directory, ...server.status };
    },
  };
}
