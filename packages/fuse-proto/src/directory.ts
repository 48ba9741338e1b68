/** What the session needs to know of what it shows: one directory of files that never change. */
import type { FuseAttributes } from './reply.ts';

/** Node ids are above ROOT_NODE_ID, safe integers, and the same in every process that ever serves the mount. */
export interface FuseFile extends FuseAttributes {
  readonly isDirectory: false;
  readonly name: string;
  /** Set by utime(2), and shown from then on. */
  mtime: number;
  /** The first offset from `offset` on that holds data, or a hole; the file's length when there is none. */
  seek(offset: number, what: 'data' | 'hole'): number;
}

export interface FuseDirectory<F extends FuseFile> {
  /** Seconds since 1970. */
  readonly mtime: number;
  get(nodeId: number): F | undefined;
  find(name: string): F | undefined;
  /** In the order of their node ids: a listing goes on behind the last that it gave, whatever has come or gone. */
  list(): readonly F[];
}
