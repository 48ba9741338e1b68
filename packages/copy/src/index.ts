export { AgentImages, type ImageFill } from './agent-images.ts';
export type { CopySource, Digest, Run } from './copy-source.ts';
export { unitLengthFor } from './copy-source.ts';
export {
  type CopyOptions,
  type CopyPhase,
  type CopyProgress,
  type CopyResult,
  CopyTask,
  copy,
} from './copy-task.ts';
export { type CopyUri, filePathOf, imageOf, nbdExportOf, parseCopyUri } from './copy-uri.ts';
export { requireInside } from './held-directory.ts';
export { builtInSchemes, type Reader, type Scheme, Schemes, type Writer } from './schemes.ts';
export { type SwarmImage, type SwarmImages, SwarmSource } from './swarm-source.ts';
