/** What the OpenAPI document says of each route of http-api.ts: a route that is added there is described here. */
import { type ApiDescription, EVENT_STREAM_TYPE, METRICS_TYPE } from '@bootswarm/rest';
import { z } from 'zod';
import {
  BOOT_ORDER,
  GLANCE,
  HEALTH,
  IMAGE,
  IMAGES,
  NODE_IMAGES,
  NODES,
  PREFETCH,
  PREFETCH_REQUEST,
  PREFETCHES,
  PUBLISH_EVENT,
  PUBLISH_REQUEST,
  SWARMS,
} from './api-schema.ts';
import { ALARMS, OVERVIEW } from './overview-schema.ts';
import { HTML_TYPE } from './page/web-page.ts';
import { STATUS } from './problem.ts';
import { VERSION } from './version.ts';

const image = "an image's id, an unambiguous beginning of it, or its name";
const node = 'the name of a node';
const order = 'the id of a prefetch order';
const noOrder = ['path-malformed', 'prefetch-not-found'];
const glanceFails = ['answer', 'catalog', 'refused', 'unreachable'].map(
  (why) => `openstack-${why}`,
);
const noImage = ['path-malformed', 'image-not-found', 'image-ambiguous'];
const noneShown = [...noImage, ...glanceFails];
const torrent = 'application/x-bittorrent';

export const API: ApiDescription = {
  title: 'bootswarm tracker',
  version: VERSION,
  description:
    'Reading is open to whoever reaches the port; what changes anything wants the admin token of ' +
    'the data directory. Images that are private or shared in Glance are told to whoever sends that ' +
    'token, or a token of Keystone in X-Auth-Token with which Glance shows them. No route takes a ' +
    'query. HEAD is answered as GET.',
  statusOf: STATUS,
  routes: {
    'GET /': {
      summary: 'The web page; 503 says how to build it.',
      type: HTML_TYPE,
    },
    'GET /ui/{file}': {
      summary: 'What the web page is made of.',
      ...{ key: 'a name in the page', type: '*/*', problems: ['page-file-not-found'] },
    },
    'GET /healthz': { summary: 'Whether the tracker is up, and what it is.', answer: HEALTH },
    'GET /v1/openapi.json': { summary: 'This document.', answer: z.looseObject({}) },
    'GET /v1/images': {
      ...{ summary: 'The catalogue, by name.', answer: IMAGES, problems: glanceFails },
    },
    'GET /v1/images/{image}': {
      ...{ summary: 'One image.', key: image, answer: IMAGE, problems: noneShown },
    },
    'GET /v1/images/{image}/boot-order': {
      summary: 'What boots of the image have taught; the most used kind of VM first.',
      ...{ key: image, answer: BOOT_ORDER, problems: noneShown },
    },
    'GET /v1/images/{image}/metainfo': {
      summary: 'Its signed metainfo. It never changes.',
      ...{ key: image, type: torrent, problems: noneShown },
    },
    'GET /v1/images/{image}/torrent': {
      summary: 'A .torrent (BEP 52) with the piece layer.',
      ...{ key: image, type: torrent, problems: noneShown },
    },
    'GET /v1/images/{image}/piece-layer': {
      summary: 'The SHA-256 hashes of its pieces; with Accept-Encoding also zstd or gzip.',
      ...{ key: image, type: 'application/octet-stream', problems: noneShown },
    },
    'GET /v1/swarms': { summary: 'Who is in which swarm, and how it goes.', answer: SWARMS },
    'GET /v1/overview': {
      summary: 'The whole cloud at one look, with five minutes of history by the second.',
      answer: OVERVIEW,
    },
    'GET /v1/overview/stream': {
      summary:
        'Server-Sent Events named overview: the whole at once, then one a second with the last ten ' +
        'seconds of history, to be merged by their time. Who does not read misses events.',
      ...{ type: EVENT_STREAM_TYPE, answer: OVERVIEW, problems: ['too-many-streams'] },
    },
    'GET /v1/alarms': {
      summary: 'What is the matter, on the tracker and on nodes.',
      answer: ALARMS,
    },
    'GET /metrics': {
      summary: 'Metrics for Prometheus; docs/metrics.md lists them.',
      type: METRICS_TYPE,
    },
    'GET /v1/nodes': { summary: 'The agents that are connected.', answer: NODES },
    'GET /v1/nodes/{node}/images': {
      summary: 'Which part of each image, and of its boot order, a connected node holds.',
      ...{ key: node, answer: NODE_IMAGES },
      problems: ['path-malformed', 'node-not-found', ...glanceFails],
    },
    'GET /v1/glance': {
      summary: 'How following Glance goes.',
      ...{ answer: GLANCE, problems: ['glance-unknown'] },
    },
    'GET /v1/prefetches': {
      summary: 'Prefetch orders, with the progress of each node.',
      answer: PREFETCHES,
    },
    'GET /v1/prefetches/{prefetch}': {
      summary: 'One prefetch order.',
      ...{ key: order, answer: PREFETCH, problems: noOrder },
    },
    'POST /v1/prefetches': {
      summary: 'Has nodes fetch an image before a VM needs it.',
      ...{ body: PREFETCH_REQUEST, status: 201, answer: PREFETCH },
      problems: [
        ...['content-type', 'body-missing', 'body-malformed', 'body-too-long'],
        ...['field-unknown', 'field-invalid', 'scope-missing', 'too-many-prefetches'],
        ...['image-not-found', 'image-ambiguous', 'nodes-needed'],
      ],
    },
    'DELETE /v1/prefetches/{prefetch}': {
      summary: 'Cancels a prefetch order: what was fetched stays, pins are released.',
      ...{ key: order, status: 204, problems: noOrder },
    },
    'POST /v1/images': {
      summary: 'Publishes an image. Answers an event per line, the last published or failed.',
      body: PUBLISH_REQUEST,
      type: 'application/x-ndjson',
      answer: PUBLISH_EVENT,
      problems: [
        ...['content-type', 'body-missing', 'body-malformed', 'body-too-long'],
        ...['field-unknown', 'field-invalid', 'too-many-publishes'],
        ...['glance-decides', 'image-name', 'publish-under-way'],
      ],
    },
    'DELETE /v1/images/{image}': {
      summary: 'Withdraws an image: nobody is served it any more.',
      ...{ key: image, status: 204, problems: noImage },
    },
  },
};
