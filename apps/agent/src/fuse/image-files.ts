/**
 * The images of this node as files of the FUSE directory: IMAGEID.raw each. A node id is made of its image's id, so that the
 * agent that comes after this one gives the same.
 */
import { statSync } from 'node:fs';
import type { FuseDirectory, FuseFile } from '@bootswarm/fuse-proto';
import type { ImageExport } from '../image-export.ts';
import type { ImageLibrary } from '../image-library.ts';
import type { ImageSession } from '../image-session.ts';
import type { ForesightedSource } from '../nbd/export-source.ts';

const FILE_NAME = /^([0-9a-f]{40})\.raw$/;
/** 13 hex digits, 52 bits: as much as a number holds, and no two images of a cloud share them. */
const NODE_ID_DIGITS = 13;
/** Beyond what the protocol and listings use themselves. */
const NODE_ID_MIN = 16;
/** The guest whose reads are counted here: no VM has a slash in its name. */
const GUEST = '/fuse';

export function fileNameOf(imageId: string): string {
  return `${imageId}.raw`;
}

/** Undefined for what is no name of ours. */
export function imageIdOf(fileName: string): string | undefined {
  return FILE_NAME.exec(fileName)?.[1];
}

export class ImageFile implements FuseFile {
  readonly isDirectory = false;
  readonly imageId: string;
  readonly nodeId: number;
  readonly name: string;
  readonly length: number;
  /** Nova's ageing goes by it, and Nova sets it whenever a VM is made. */
  mtime: number;
  readonly #session: () => ImageSession | undefined;

  constructor(session: ImageSession, current: () => ImageSession | undefined, mtime: number) {
    this.imageId = session.id;
    this.nodeId = NODE_ID_MIN + Number.parseInt(session.id.slice(0, NODE_ID_DIGITS), 16);
    this.name = fileNameOf(session.id);
    this.length = session.metainfo.length;
    this.mtime = mtime;
    this.#session = current;
  }

  get allocatedBytes(): number {
    const path = this.#session()?.localCopy.path;
    const found = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
    return (found?.blocks ?? 0) * 512;
  }

  /** One per open file: each is the boot of a guest. Undefined when the image was let go. */
  open(): ForesightedSource | undefined {
    const session = this.#session();
    if (session === undefined) return undefined;
    session.wantedAt = Date.now();
    return session.exportFor(GUEST).open();
  }

  seek(offset: number, what: 'data' | 'hole'): number {
    const found: ImageExport | undefined = this.#session()?.exportFor(GUEST);
    if (found === undefined) return what === 'data' ? offset : this.length;
    if (found.isZeroAt(offset) === (what === 'hole')) return offset;
    return found.extentEnd(offset, this.length);
  }
}

export class ImageFiles implements FuseDirectory<ImageFile> {
  /** Seconds since 1970. */
  readonly mtime = Math.floor(Date.now() / 1_000);
  readonly #library: Pick<ImageLibrary, 'get' | 'sessions'>;
  readonly #files = new Map<string, ImageFile>();
  readonly #byNode = new Map<number, ImageFile>();

  constructor(library: Pick<ImageLibrary, 'get' | 'sessions'>) {
    this.#library = library;
  }

  get(nodeId: number): ImageFile | undefined {
    // A node id that an agent before us gave.
    const file = this.#byNode.get(nodeId) ?? this.list().find((each) => each.nodeId === nodeId);
    return file && this.#library.get(file.imageId) && file;
  }

  find(name: string): ImageFile | undefined {
    const imageId = imageIdOf(name);
    return imageId === undefined ? undefined : this.ofImage(imageId);
  }

  list(): readonly ImageFile[] {
    const files = [...this.#library.sessions].map((session) => this.#fileOf(session));
    return files.sort((a, b) => a.nodeId - b.nodeId);
  }

  ofImage(imageId: string): ImageFile | undefined {
    const session = this.#library.get(imageId);
    return session && this.#fileOf(session);
  }

  #fileOf(session: ImageSession): ImageFile {
    const { id } = session;
    let file = this.#files.get(id);
    if (file === undefined) {
      file = new ImageFile(session, () => this.#library.get(id), Math.floor(Date.now() / 1_000));
      this.#files.set(id, file);
      this.#byNode.set(file.nodeId, file);
    }
    return file;
  }
}
