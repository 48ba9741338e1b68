/** The <disk> of a libvirt domain that boots an overlay. Writes text; talks to no libvirt. */
import { assert } from '@bootswarm/stdx';
import { type BackingReference, RECONNECT_DELAY_SECONDS } from './backing-reference.ts';

export interface LibvirtDiskOptions {
  readonly overlayPath: string;
  readonly backing: BackingReference;
  /** `vda` by default. */
  readonly target?: string;
}

/**
 * XML in the format of https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms. libvirt 9.0 takes the <reconnect>
 * element and the delay in the overlay's header and drops both; `stop` then pauses the VM when the agent restarts, and
 * `virsh resume` continues it without an error in the guest.
 */
export function libvirtDiskXml({ overlayPath, backing, target }: LibvirtDiskOptions): string {
  return `<disk type='file' device='disk'>
  <driver name='qemu' type='qcow2' cache='none' error_policy='stop' rerror_policy='stop'/>
  <source file='${escapeXml(overlayPath)}'/>
  <backingStore type='network'>
    <format type='raw'/>
    <source protocol='nbd' name='${escapeXml(backing.exportName)}'>
      <host transport='unix' socket='${escapeXml(backing.socketPath)}'/>
      <reconnect delay='${RECONNECT_DELAY_SECONDS}'/>
    </source>
    <backingStore/>
  </backingStore>
  <target dev='${escapeXml(target ?? 'vda')}' bus='virtio'/>
</disk>
`;
}

function escapeXml(value: string): string {
  // XML 1.0 has no spelling for control characters; a path or name with one never gets this far.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert(!/[\0-\x1f\x7f]/.test(value), `control character in ${JSON.stringify(value)}`);
  return value.replace(/[&<>'"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
