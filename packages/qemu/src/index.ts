export {
  type BackingReference,
  backingFilename,
  isSocketPath,
  nbdUri,
  OPEN_TIMEOUT_SECONDS,
  RECONNECT_DELAY_SECONDS,
  SOCKET_PATH_LENGTH_MAX,
} from './backing-reference.ts';
export { type LibvirtDiskOptions, libvirtDiskXml } from './libvirt-xml.ts';
export { type MigrationEnds, type MigrationResult, migrate } from './migrate.ts';
export {
  type MigrationOptions,
  type MigrationPlan,
  type MigrationStep,
  migrationPlan,
} from './migration-plan.ts';
export {
  createOverlay,
  deleteOverlay,
  isOverlayInUse,
  type OverlayOptions,
} from './overlay.ts';
export {
  type Backing,
  flattenOverlay,
  readBackingName,
  rebaseOverlay,
} from './overlay-backing.ts';
export { type PivotOptions, pivotOverlay } from './pivot.ts';
export { type Accelerator, type QemuOptions, qemuCommand } from './qemu-command.ts';
export { QmpClient, type QmpClientOptions } from './qmp-client.ts';
export type { QmpCommand, QmpEvent } from './qmp-message.ts';
