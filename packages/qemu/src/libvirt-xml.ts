/** The <disk> of a libvirt domain that boots an overlay. Writes text; talks to no libvirt. */
import { assert } from '@bootswarm/stdx';
import { RECONNECT_DELAY_SECONDS } from './backing-reference.ts';
import type { Backing } from './overlay-backing.ts';

export interface LibvirtDiskOptions {
  readonly overlayPath: string;
  /** Undefined: the overlay holds the whole disk. */
  readonly backing: Backing | undefined;
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
${backingStore(backing)}
  <target dev='${escapeXml(target ?? 'vda')}' bus='virtio'/>
</disk>
`;
}

function backingStore(backing: Backing | undefined): string {
  if (backing === undefined) return '  <backingStore/>';
  if ('imagePath' in backing) {
    return `  <backingStore type='file'>
    <format type='raw'/>
    <source file='${escapeXml(backing.imagePath)}'/>
    <backingStore/>
  </backingStore>`;
  }
  return `  <backingStore type='network'>
    <format type='raw'/>
    <source protocol='nbd' name='${escapeXml(backing.exportName)}'>
      <host transport='unix' socket='${escapeXml(backing.socketPath)}'/>
      <reconnect delay='${RECONNECT_DELAY_SECONDS}'/>
    </source>
    <backingStore/>
  </backingStore>`;
}

function escapeXml(value: string): string {
  // XML 1.0 has no spelling for control characters; a path or name with one never gets this far.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  assert(!/[\0-\x1f\x7f]/.test(value), `control character in ${JSON.stringify(value)}`);
  return value.replace(/[&<>'"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
