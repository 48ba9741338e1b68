export type { BootTouches } from './boot-recorder.ts';
export { GuestReader, ImageReader } from './image-reader.ts';
export { noReadBytes, type ReadBytes } from './read-bytes.ts';
export {
  SwarmDriver,
  type SwarmDriverOptions,
  type SwarmEvent,
} from './swarm-driver.ts';
export { SwarmHost, type SwarmHostOptions } from './swarm-host.ts';
export { WAIT_BOUNDS_SECONDS, WaitHistogram } from './wait-histogram.ts';
