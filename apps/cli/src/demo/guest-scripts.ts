/**
 * What runs inside the demo guest, as texts: GRUB's start script, the initramfs' init, the disk's init. The demo and
 * the guest agree here on the lines of the console that count.
 */
import { SERVICES_DIR } from './guest-files.ts';

/** The guest prints this with the SHA-256 of all it read, then READY_LINE with its name and uptime in seconds. */
export const SUM_LINE = 'bootswarm-demo sha256';
export const READY_LINE = 'bootswarm-demo ready';

/** virtio registers with virtio_ring's symbols, so the order is this one and modprobe is not needed. */
export const MODULES = [
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci',
  'drivers/block/virtio_blk',
] as const;

export const FS_LABEL = 'bootswarm-demo';

/** Each word saves time in a guest without KVM: no self-tests, no probing for hardware that is not there. */
const KERNEL_WORDS = [
  'console=ttyS0',
  'root=/dev/vda1',
  'quiet',
  'nokaslr',
  'mitigations=off',
  'no_timer_check',
  'cryptomgr.notests',
  'rcupdate.rcu_expedited=1',
  'init_on_alloc=0',
  'random.trust_cpu=on',
  'apparmor=0',
  'audit=0',
  '8250.nr_uarts=1',
  'i8042.noaux',
  'i8042.nokbd',
  'panic=-1',
];

/** Run by GRUB's rescue parser out of core.img: no menu and no modules to read. */
export const GRUB_SCRIPT = `set root=(hd0,msdos1)
linux /boot/vmlinuz ${KERNEL_WORDS.join(' ')}
initrd /boot/initrd.img
boot
`;

export const INITRAMFS_INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in ${MODULES.map((path) => path.split('/').at(-1)).join(' ')}; do
  /bin/busybox insmod /lib/$module.ko
done
/bin/busybox mount -t ext4 -o noatime /dev/vda1 /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
`;

/** \`stty\` with a change waits until the line before it has left the serial port; only then may the power go. */
export const ROOT_INIT = `#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
read -r uptime rest < /proc/uptime
echo "bootswarm-demo root mounted $uptime"
mount -t tmpfs tmp /tmp
sum=$(for service in /${SERVICES_DIR}/*; do
  cat "$service"/*
done | sha256sum)
read -r uptime rest < /proc/uptime
echo "booted after $uptime s" >> /var/log/boot
sync
echo "${SUM_LINE} \${sum%% *}"
echo "${READY_LINE} $(cat /etc/hostname) $uptime"
stty -echo
poweroff -f
`;
