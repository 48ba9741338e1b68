"""Runs the weigher in Nova's own weight handler: python3 weigher.py DIRECTORY TRACKER_URL IMAGE_NAME HOST… prints what it made of it."""

import json
import sys
import time

from nova import objects
from nova.scheduler import weights
from oslo_config import cfg

sys.path.insert(0, sys.argv[1])
import bootswarm_weigher  # noqa: E402

CONF = cfg.CONF
CONF([], project='nova', default_config_files=[])
CONF.set_override('tracker_url', sys.argv[2], group='bootswarm')
CONF.set_override('timeout', 5.0, group='bootswarm')
objects.register_all()


class HostState(object):
    def __init__(self, host):
        self.host = host
        self.nodename = host + '.example'


spec = objects.RequestSpec(image=objects.ImageMeta(name=sys.argv[3]))
hosts = [HostState(name) for name in sys.argv[4:]]
handler = weights.HostWeightHandler()
found = handler.get_matching_classes(['bootswarm_weigher.BootswarmWeigher'])
weighers = [each() for each in found]
first = handler.get_weighed_objects(weighers, hosts, spec)
# Within the time that an answer is good for, nobody is asked again.
asked = []
weighers[0]._fetch = asked.append
again = handler.get_weighed_objects(weighers, hosts, spec)
# Without an image (boot from a volume) no host is better.
volume = handler.get_weighed_objects(weighers, hosts, objects.RequestSpec(image=None))
del weighers[0]._fetch
# A tracker that is not there costs nothing but its answer.
CONF.set_override('tracker_url', 'http://127.0.0.1:1', group='bootswarm')
CONF.set_override('cache_seconds', 0.0, group='bootswarm')
weighers[0]._answers.clear()
time.sleep(0)
without = handler.get_weighed_objects(weighers, hosts, spec)
print(json.dumps({
    'order': [each.obj.host for each in first],
    'weights': {each.obj.host: each.weight for each in first},
    'again': {each.obj.host: each.weight for each in again},
    'askedAgain': asked,
    'volume': [each.weight for each in volume],
    'without': [each.weight for each in without],
}))
