export type { Extent } from './extents.ts';
export {
  type FetchedImage,
  type FetchOptions,
  type FetchProgress,
  fetchImage,
  IMAGE_LENGTH_MAX,
  type StoredImage,
} from './fetch-image.ts';
export { type Answer, bodyOf, display, type GetOptions, get, TransientError } from './http-get.ts';
export type { SourceFormat } from './image-format.ts';
export {
  isSourceUri,
  parseSource,
  publicSource,
  SOURCES_TOLD,
  type SourceLocation,
} from './source-location.ts';
