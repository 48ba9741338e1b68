"""A weigher for Nova's scheduler: hosts that hold more of the image first.

Of each candidate host it asks the tracker which part of the instance's image
is in the host's cache (GET /v1/nodes/HOST/images). What the boot order names
counts first: it decides how soon the guest is up. Nova goes on without an
answer: a host of which nothing is known weighs 0.

Install: put this file where nova-scheduler can import it, then in nova.conf

    [filter_scheduler]
    weight_classes = nova.scheduler.weights.all_weighers,bootswarm_weigher.BootswarmWeigher

    [bootswarm]
    tracker_url = http://10.0.0.5:7420
    weight_multiplier = 1.0

A bootswarm node has to have the name of its Nova host (bootswarm agent
--node), or of its hypervisor. An image is the one that was published under
its Glance id, or under its name in Glance.
"""

import concurrent.futures
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from oslo_config import cfg
from oslo_log import log as logging

from nova.scheduler import weights

LOG = logging.getLogger(__name__)

OPTIONS = [
    cfg.StrOpt('tracker_url', default='http://127.0.0.1:7420',
               help='Of the bootswarm tracker.'),
    cfg.FloatOpt('weight_multiplier', default=1.0,
                 help='0 switches the weigher off; negative prefers hosts '
                      'without the image.'),
    cfg.FloatOpt('timeout', default=0.5, min=0.01,
                 help='Seconds to wait for all hosts of one request.'),
    cfg.FloatOpt('cache_seconds', default=5.0, min=0,
                 help='How long an answer of the tracker is used.'),
]
CONF = cfg.CONF
CONF.register_opts(OPTIONS, group='bootswarm')

# Of the weight, what the boot order makes up: the rest is fetched while the
# guest runs.
BOOT_SHARE = 0.7
# Hosts asked at once.
WORKERS = 16
# A host's images are a few KiB.
ANSWER_BYTES_MAX = 4 * 1024 * 1024
# Nodes of which an answer is kept: the largest cells have some thousands.
NODES_MAX = 20000
# After the tracker was not there, it is left alone for so many seconds.
REST_SECONDS = 10


class BootswarmWeigher(weights.BaseHostWeigher):
    # So that the multiplier means the same whatever the hosts hold.
    minval = 0.0
    maxval = 1.0

    def __init__(self):
        super().__init__()
        self._answers = {}
        self._lock = threading.Lock()
        self._rest_until = 0.0
        self._pool = None

    def weight_multiplier(self, host_state):
        return CONF.bootswarm.weight_multiplier

    def weigh_objects(self, weighed_obj_list, weight_properties):
        hosts = [obj.obj for obj in weighed_obj_list]
        names = image_names(weight_properties)
        if not names or not CONF.bootswarm.weight_multiplier:
            return [0.0] * len(hosts)
        self._ask({name for host in hosts for name in host_names(host)})
        return [self._weight(host, names) for host in hosts]

    def _weigh_object(self, host_state, weight_properties):
        names = image_names(weight_properties)
        self._ask(set(host_names(host_state)))
        return self._weight(host_state, names)

    def _weight(self, host, names):
        for node in host_names(host):
            kept = self._answers.get(node)
            for image in kept[1] if kept else ():
                if image.get('image') in names or image.get('name') in names:
                    return weight_of(image)
        return 0.0

    def _ask(self, nodes):
        """Ask for what is not known or too old; never fail."""
        now = time.monotonic()
        fresh = now - CONF.bootswarm.cache_seconds
        due = [node for node in nodes
               if node not in self._answers or self._answers[node][0] < fresh]
        if not due or now < self._rest_until:
            return
        with self._lock:
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
            if len(self._answers) > NODES_MAX:
                self._answers.clear()
        asked = [self._pool.submit(self._fetch, node) for node in due]
        _, late = concurrent.futures.wait(asked, CONF.bootswarm.timeout)
        for each in late:
            each.cancel()

    def _fetch(self, node):
        if time.monotonic() < self._rest_until:
            return
        url = '%s/v1/nodes/%s/images' % (
            CONF.bootswarm.tracker_url.rstrip('/'),
            urllib.parse.quote(node, safe=''))
        images = []
        try:
            # Not through http_proxy: the tracker is in the cloud.
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=CONF.bootswarm.timeout) as answer:
                body = json.loads(answer.read(ANSWER_BYTES_MAX))
            found = body.get('images') if isinstance(body, dict) else None
            images = [each for each in found or () if isinstance(each, dict)]
        except urllib.error.HTTPError as error:
            # No such node: it runs no agent.
            if error.code != 404:
                self._rest(url, error)
        except Exception as error:
            self._rest(url, error)
        self._answers[node] = (time.monotonic(), images)

    def _rest(self, url, error):
        self._rest_until = time.monotonic() + REST_SECONDS
        LOG.warning('bootswarm tracker not asked for %ss, hosts are weighed '
                    'without it: %s: %s', REST_SECONDS, url, error)


def weight_of(image):
    whole = fraction(image.get('cachedFraction'))
    boot = image.get('bootOrderFraction')
    if boot is None:
        return whole
    return BOOT_SHARE * fraction(boot) + (1 - BOOT_SHARE) * whole


def fraction(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return min(1.0, max(0.0, float(value)))


def host_names(host_state):
    names = [getattr(host_state, 'host', None),
             getattr(host_state, 'nodename', None)]
    return [name for name in dict.fromkeys(names) if name]


def image_names(request_spec):
    """By which the tracker may know the image of a RequestSpec."""
    try:
        image = request_spec.image
    except Exception:
        return set()
    if image is None:
        return set()
    names = set()
    if 'id' in image and image.id:
        names.add(image.id)
    if 'name' in image and image.name:
        names.add(image.name)
    return names
