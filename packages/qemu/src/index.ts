export {
  type BackingReference,
  backingFilename,
  nbdUri,
  OPEN_TIMEOUT_SECONDS,
  RECONNECT_DELAY_SECONDS,
} from './backing-reference.ts';
export { type LibvirtDiskOptions, libvirtDiskXml } from './libvirt-xml.ts';
export {
  createOverlay,
  deleteOverlay,
  isOverlayInUse,
  type OverlayOptions,
} from './overlay.ts';
export { type Accelerator, type QemuOptions, qemuCommand } from './qemu-command.ts';
