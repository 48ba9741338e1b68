export type { Extent } from './extents.ts';
export {
  type FetchedImage,
  type FetchOptions,
  type FetchProgress,
  fetchImage,
  IMAGE_LENGTH_MAX,
} from './fetch-image.ts';
export type { SourceFormat } from './image-format.ts';
