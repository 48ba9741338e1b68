/**
 * What the NBD server needs from the rest of the agent: which exports there are, and their bytes. An export name is
 * IMAGEID or IMAGEID@VMNAME; the directory decides what a name means, and through open() every read is known to be of
 * that VM.
 */
import type { NbdExport, NbdExportDirectory } from '@bootswarm/nbd-proto';

export type ExportDirectory = NbdExportDirectory<ExportBinding>;

/** An export under one of its names. */
export interface ExportBinding extends NbdExport {
  /** Called once for each connection that enters the transmission phase. */
  open(): ExportSource;
}

/** The bytes of an export, for one connection. Offsets and lengths lie within the export. */
export interface ExportSource {
  /** Fills `target` from verified bytes at hand; false if any byte needs the swarm or a slow disk. Must be quick. */
  readNow(offset: number, target: Uint8Array): boolean;
  /**
   * Fills `target` and calls `done` once, however long it takes: there is no error. Until then `target` belongs to the
   * source. May not throw after it has taken the read.
   */
  read(offset: number, target: Uint8Array, done: () => void): ReadHandle;
  /** A hint that the range will be read. A client can send millions: ask for what is already asked for at no cost. */
  prefetch(offset: number, length: number): void;
  /** The connection is gone. Its reads have been cancelled. */
  close(): void;
}

/** A source for a server that makes an answer before it is asked. */
export interface ForesightedSource extends ExportSource {
  /** As readNow(), but nothing counts as read until took(). */
  readAhead(offset: number, target: Uint8Array): boolean;
  took(offset: number, length: number): void;
}

export interface ReadHandle {
  /** Nobody waits for this read any more: `done` is not called after this, and `target` is free. */
  cancel(): void;
}
