import { AssertionError } from '@bootswarm/stdx';
import { expect, test } from 'vitest';
import { libvirtDiskXml } from '../src/libvirt-xml.ts';

test('a libvirt disk names the overlay, its backing export and what to do on errors', () => {
  const xml = libvirtDiskXml({
    overlayPath: '/vms/vm-1.qcow2',
    backing: { socketPath: '/run/bootswarm/nbd.sock', exportName: 'abc@vm-1' },
  });
  expect(xml).toBe(`<disk type='file' device='disk'>
  <driver name='qemu' type='qcow2' cache='none' error_policy='stop' rerror_policy='stop'/>
  <source file='/vms/vm-1.qcow2'/>
  <backingStore type='network'>
    <format type='raw'/>
    <source protocol='nbd' name='abc@vm-1'>
      <host transport='unix' socket='/run/bootswarm/nbd.sock'/>
      <reconnect delay='300'/>
    </source>
    <backingStore/>
  </backingStore>
  <target dev='vda' bus='virtio'/>
</disk>
`);
});

test('a libvirt disk may read a local file, or no other', () => {
  const overlayPath = '/vms/vm-1.qcow2';
  expect(libvirtDiskXml({ overlayPath, backing: { imagePath: '/c/&.raw' } })).toContain(
    `  <source file='/vms/vm-1.qcow2'/>
  <backingStore type='file'>
    <format type='raw'/>
    <source file='/c/&#38;.raw'/>
    <backingStore/>
  </backingStore>
  <target dev='vda' bus='virtio'/>`,
  );
  expect(libvirtDiskXml({ overlayPath, backing: undefined })).toContain(
    `  <source file='/vms/vm-1.qcow2'/>
  <backingStore/>
  <target dev='vda' bus='virtio'/>`,
  );
});

test('a libvirt disk cannot be broken out of', () => {
  const xml = libvirtDiskXml({
    overlayPath: `/a'/><evil b="&<>"`,
    backing: { socketPath: `/'`, exportName: '<' },
    target: `vdb'`,
  });
  expect(xml).toContain(`<source file='/a&#39;/&#62;&#60;evil b=&#34;&#38;&#60;&#62;&#34;'/>`);
  expect(xml).toContain(`socket='/&#39;'`);
  expect(xml).toContain(`name='&#60;'`);
  expect(xml).toContain(`dev='vdb&#39;'`);
  expect(() =>
    libvirtDiskXml({ overlayPath: '/a\nb', backing: { socketPath: '/', exportName: 'x' } }),
  ).toThrow(AssertionError);
});
