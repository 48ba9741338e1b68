export { CacheDirectory, type CachedImage } from './cache-directory.ts';
export {
  CachePieceStore,
  type CacheStoreOptions,
  type CacheStoreStats,
  type SetTimer,
} from './cache-store.ts';
export { DirectoryLock } from './directory-lock.ts';
export { MemoryPieceStore, type MemoryStoreOptions } from './memory-store.ts';
export { nodeDisk } from './node-disk.ts';
export { OriginalPieceStore, type OriginalStoreOptions } from './original-store.ts';
export type { PieceStore } from './piece-store.ts';
export type { DiscardReason, LostReason, OnStoreEvent, StoreEvent } from './store-event.ts';
export type { FileIdentity, StoreDisk, StoreFile } from './store-file.ts';
