/** Which HTTP status an error of the tracker has: by code; one that is not here is not the caller's fault. */
import { type Problem, problemOf as problemFrom, ROUTE_STATUS } from '@bootswarm/rest';

export const STATUS: Readonly<Record<string, number>> = {
  ...ROUTE_STATUS,
  'body-malformed': 400,
  'body-missing': 400,
  'field-invalid': 400,
  'field-unknown': 400,
  'glance-decides': 400,
  'image-name': 400,
  'scope-missing': 400,
  'image-not-found': 404,
  'glance-unknown': 404,
  'prefetch-not-found': 404,
  'node-not-found': 404,
  'page-file-not-found': 404,
  'image-ambiguous': 409,
  'nodes-needed': 409,
  'publish-under-way': 409,
  'body-too-long': 413,
  'content-type': 415,
  'openstack-answer': 502,
  'openstack-catalog': 502,
  'openstack-refused': 502,
  'openstack-unreachable': 503,
  'too-many-prefetches': 409,
  'too-many-publishes': 503,
};

export function problemOf(error: unknown): Problem {
  return problemFrom(error, STATUS, 'tracker');
}
