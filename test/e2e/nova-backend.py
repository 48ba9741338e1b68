"""Drives Debian's unmodified nova image back ends, as nova-compute does when it makes the disk of an instance.

Asked by a JSON object in the first argument; answers with one on standard output.
"""
import json
import os
import sys
import time

import nova.conf
import nova.privsep
# Defines the group of options that is set below; not everywhere does another import bring it.
from oslo_concurrency import lockutils  # noqa: F401

asked = json.loads(sys.argv[1])
CONF = nova.conf.CONF
CONF([], project='nova', default_config_files=[asked['conf']])
CONF.set_override('instances_path', asked['instances'])
CONF.set_override('lock_path', os.path.join(asked['instances'], 'locks'), group='oslo_concurrency')

from nova import objects  # noqa: E402
from nova.virt.libvirt import imagebackend, imagecache  # noqa: E402

objects.register_all()
# In this process, which is root's, instead of a daemon that sudo starts.
nova.privsep.sys_admin_pctxt.set_client_mode(False)


def spawn():
    """The disk of one instance, on a base image named as Nova names it."""
    os.makedirs(os.path.join(asked['instances'], asked['uuid']), exist_ok=True)
    instance = objects.Instance(uuid=asked['uuid'])
    mapping = {'bus': 'virtio', 'dev': 'vda', 'type': 'disk'}
    disk = imagebackend.Backend(CONF.use_cow_images).by_name(
        instance, 'disk', disk_info_mapping=mapping)
    downloads = []

    def fetch(target, **kwargs):
        downloads.append(target)
        with open(target, 'wb') as file:
            file.truncate(1 << 20)

    begin = time.monotonic()
    failure = None
    try:
        disk.cache(fetch_func=fetch, context=None, size=asked['size'],
                   filename=imagecache.get_cache_fname(asked['glanceId']),
                   image_id=asked['glanceId'])
    except Exception as error:
        failure = repr(error)
    xml = disk.libvirt_info(cache_mode='none', extra_specs={}).to_xml()
    return {'backend': type(disk).__name__, 'downloads': downloads, 'path': disk.path,
            'seconds': time.monotonic() - begin, 'xml': xml, 'failure': failure}


def age():
    """A run of the periodic task that removes base images, on a node with these instances."""
    cache = imagecache.ImageCacheManager()
    cache._list_running_instances = lambda context, instances: {
        'used_images': {image: (1, 0, [uuid]) for uuid, image in asked['running'].items()},
        'instance_names': set(asked['running']),
        'used_swap_images': set(), 'used_ephemeral_images': set()}
    cache.update(None, [])
    return {'removable': cache.removable_base_files, 'active': cache.active_base_files}


print(json.dumps({'spawn': spawn, 'age': age}[asked['do']]()))
