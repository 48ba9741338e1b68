import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSourceUri, parseSource, publicSource } from '../src/index.ts';

const ID = '6f0b2e5e-8d8c-4c0c-9c5e-0b6a3e1f7a42';

describe('a source', () => {
  test.each([
    ['/images/debian.raw', { type: 'path', path: '/images/debian.raw' }],
    ['nbd:unix:/run/x', { type: 'path', path: 'nbd:unix:/run/x' }],
    [`glance:${ID.toUpperCase()}`, { type: 'glance', imageId: ID }],
    [
      'rbd:volumes/volume-1@snap:id=cinder:conf=/etc/ceph/ceph.conf',
      {
        type: 'remote-disk',
        name: 'rbd:volumes/volume-1@snap',
        blockdev: {
          ...{ driver: 'rbd', pool: 'volumes', image: 'volume-1', snapshot: 'snap' },
          ...{ user: 'cinder', conf: '/etc/ceph/ceph.conf' },
        },
      },
    ],
    [
      'iscsi://10.0.0.1/iqn.2010-10.org.openstack:volume-1/1',
      {
        type: 'remote-disk',
        name: 'iscsi://10.0.0.1:3260/iqn.2010-10.org.openstack:volume-1/1',
        blockdev: {
          ...{ driver: 'iscsi', transport: 'tcp', portal: '10.0.0.1:3260', lun: 1 },
          target: 'iqn.2010-10.org.openstack:volume-1',
        },
      },
    ],
    [
      'nbd://[::1]:10810/a%20b',
      {
        type: 'remote-disk',
        name: 'nbd://[::1]:10810/a%20b',
        blockdev: {
          ...{ driver: 'nbd', export: 'a b', server: { type: 'inet', host: '::1', port: '10810' } },
        },
      },
    ],
    [
      'nbd+unix:///disk?socket=/run/x.sock',
      {
        type: 'remote-disk',
        name: 'nbd+unix:///disk?socket=/run/x.sock',
        blockdev: { driver: 'nbd', export: 'disk', server: { type: 'unix', path: '/run/x.sock' } },
      },
    ],
  ])('%s is understood', (source, location) => {
    expect(parseSource(source)).toEqual(location);
  });

  test.each([
    'glance:debian',
    `glance://${ID}`,
    'rbd:volumes',
    'rbd:p/i:key=secret',
    'rbd:p/i@s:conf=/x:mon_host=evil',
    'iscsi://user%secret@10.0.0.1/iqn/1',
    'iscsi://10.0.0.1/iqn',
    'nbd://user@host/x',
    'nbd+unix:///x',
    'nbd+unix://host/x?socket=/y',
    'nbd://host/%zz',
    'ftp://host/x',
    'json://{}',
  ])('like %s is refused, with what there is', (source) => {
    expect(() => parseSource(source)).toThrow(
      expect.objectContaining({
        code: 'source-unsupported',
        hint: expect.stringContaining('glance:IMAGE_ID'),
      }),
    );
  });

  test('shows no password and no signature where anybody may read it', () => {
    expect(publicSource('https://user:secret@host/a?sig=secret')).toBe('https://host/a');
    expect(publicSource(`glance:${ID}`)).toBe(`glance:${ID}`);
    expect(publicSource('rbd:p/i:id=user:conf=/etc/x')).toBe('rbd:p/i');
  });

  test('of any text is a location or refused, and gives QEMU no option of its own', () => {
    const schemes = fc.constantFrom('rbd:', 'iscsi://', 'nbd://', 'nbd+unix://', 'glance:', '');
    fc.assert(
      fc.property(schemes, fc.string(), (scheme, rest) => {
        const source = scheme + rest;
        try {
          const location = parseSource(source);
          expect(location.type === 'path').toBe(!isSourceUri(source));
          if (location.type !== 'remote-disk') return;
          const known = ['driver', 'pool', 'image', 'snapshot', 'user', 'conf', 'transport'];
          known.push('portal', 'target', 'lun', 'server', 'export');
          for (const key of Object.keys(location.blockdev)) expect(known).toContain(key);
        } catch (error) {
          expect(error).toMatchObject({ code: 'source-unsupported' });
        }
      }),
    );
  });
});
