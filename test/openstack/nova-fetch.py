"""Nova's own download of an image into its cache: URL of Glance, token, image id, path. Prints the status of a failure."""
import sys

import nova.conf
from nova import context, exception, objects

url, token, image, path = sys.argv[1:]
CONF = nova.conf.CONF
CONF([], project='nova', default_config_files=[])
CONF.set_override('api_servers', [url], 'glance')
CONF.set_override('num_retries', 0, 'glance')
objects.register_all()

from nova.virt import images  # noqa: E402  It reads the configuration.

try:
    images.fetch_to_raw(
        context.RequestContext('user', 'project', auth_token=token), image, path)
except exception.ImageNotFound:
    print('404')
    sys.exit(3)
