/**
 * The routes of the control API: method, path, what is checked of a request before it is handled, and who handles it. The OpenAPI
 * document is made of the same table.
 */
import type { ServerResponse } from 'node:http';
import {
  METRICS_TYPE,
  type Method,
  type Metrics,
  type RouteDescription,
  type RouteName,
  sendMetrics,
} from '@bootswarm/rest';
import { z } from 'zod';
import type { Agent } from './agent.ts';
import {
  ALARMS,
  ATTACH,
  COPIES,
  COPY,
  COPY_REQUEST,
  EXPORT,
  FILL,
  REBASE,
  REMOVE_QUERY,
  STATUS_ANSWER,
  TOUCHED,
  UPGRADE,
  VM,
  VM_CREATION,
  VM_STATUS,
  VMS,
} from './api-schema.ts';

export interface Call<Body = unknown, Query = unknown> {
  readonly agent: Agent;
  /** What stands where the path has braces. */
  readonly key: string;
  readonly body: Body;
  readonly query: Query;
  readonly response: ServerResponse;
  readonly metrics: () => Metrics;
}

export interface Route extends RouteName, RouteDescription {
  readonly body: z.ZodObject;
  readonly query: z.ZodObject;
  /** What it returns is sent as JSON, undefined as 204; ANSWERED when it has sent the answer itself. */
  readonly handle: (call: Call) => unknown;
  /** When the answer has been given. */
  readonly after?: (agent: Agent) => void;
}

export const ANSWERED = Symbol('answered');

type NoFields = z.ZodObject<Record<never, never>>;
const NOTHING: NoFields = z.strictObject({});

/** One with a body or a query takes nothing else in them; one without takes none. */
function route<Body extends z.ZodObject = NoFields, Query extends z.ZodObject = NoFields>(
  method: Method,
  path: string,
  description: RouteDescription & {
    readonly body?: Body;
    readonly query?: Query;
    readonly after?: (agent: Agent) => void;
  },
  handle: (call: Call<z.infer<Body>, z.infer<Query>>) => unknown,
): Route {
  const { body = NOTHING, query = NOTHING } = description;
  return { ...description, method, path, body, query, handle: handle as Route['handle'] };
}

const image = "an image's id, an unambiguous beginning of it, or its name";
const vm = 'the name of a VM of this node';
const copy = 'the id of a copy';
const noImage = ['image-not-found', 'image-ambiguous'];
/** Of an agent with credentials of its own. */
const asProject = ['answer', 'catalog', 'refused', 'unreachable'].map((why) => `openstack-${why}`);
const fetching = [
  ...[...noImage, 'tracker-answer', 'tracker-unreachable', 'agent-stopping'],
  ...asProject,
];
const qmp = ['qmp-unreachable', 'qmp-refused', 'qmp-closed', 'qmp-garbage', 'qmp-timeout'];
const moving = ['vm-not-found', 'vm-busy', 'vm-migrating', 'vm-disk-unknown', 'overlay-flat'];
const local = ['image-incomplete', 'image-damaged', 'disk-full'];

export const ROUTES: readonly Route[] = [
  route(
    'GET',
    '/v1/status',
    { summary: 'What this agent does, per image and per VM.', answer: STATUS_ANSWER },
    ({ agent }) => agent.status(),
  ),
  route(
    'GET',
    '/v1/alarms',
    { summary: 'What is the matter on this node, and why.', answer: ALARMS },
    ({ agent }) => ({ alarms: agent.alarms() }),
  ),
  route(
    'GET',
    '/metrics',
    { summary: 'Metrics for Prometheus; docs/metrics.md lists them.', type: METRICS_TYPE },
    ({ metrics, response }) => {
      sendMetrics(response, metrics());
      return ANSWERED;
    },
  ),
  route(
    'GET',
    '/v1/images/{image}/touched',
    {
      summary: 'Distinct pieces that guests of this node touched.',
      ...{ key: image, answer: TOUCHED, problems: noImage },
    },
    ({ agent, key }) => agent.touched(key),
  ),
  route(
    'DELETE',
    '/v1/images/{image}',
    {
      summary: 'The image leaves the cache of this node.',
      ...{ key: image, status: 204, problems: [...noImage, 'image-in-use'] },
    },
    ({ agent, key }) => agent.evict(key),
  ),
  route(
    'POST',
    '/v1/images/{image}/fill',
    {
      summary: 'Has the image filled for the next 10 s, and says which pieces may be read where.',
      ...{ key: image, answer: FILL, problems: [...fetching, 'cache-full'] },
    },
    ({ agent, key }) => agent.fill(key),
  ),
  route(
    'GET',
    '/v1/images/{image}/piece-layer',
    {
      summary: 'The SHA-256 hashes of its pieces.',
      ...{ key: image, type: 'application/octet-stream', problems: noImage },
    },
    ({ agent, key, response }) => {
      response.setHeader('content-type', 'application/octet-stream');
      response.end(agent.pieceLayer(key));
      return ANSWERED;
    },
  ),
  route(
    'GET',
    '/v1/copies',
    { summary: 'Copies that this agent makes or has made.', answer: COPIES },
    ({ agent }) => ({ copies: agent.copies.list() }),
  ),
  route(
    'POST',
    '/v1/copies',
    {
      summary: 'Copies from one URI to another, within the directory of --copies.',
      ...{ body: COPY_REQUEST, answer: COPY },
      problems: [
        ...['uri-invalid', 'scheme-unknown', 'digest-invalid'],
        ...['copies-off', 'copy-outside', 'too-many-copies'],
      ],
    },
    ({ agent, body }) => agent.copies.start(body),
  ),
  route(
    'GET',
    '/v1/copies/{copy}',
    { summary: 'One copy.', key: copy, answer: COPY, problems: ['copy-not-found'] },
    ({ agent, key }) => agent.copies.get(key),
  ),
  route(
    'DELETE',
    '/v1/copies/{copy}',
    {
      summary: 'Cancels a copy, or forgets one that is over.',
      ...{ key: copy, status: 204, problems: ['copy-not-found'] },
    },
    ({ agent, key }) => agent.copies.remove(key),
  ),
  route(
    'POST',
    '/v1/exports',
    {
      summary: 'Exports an image to NBD clients of this host.',
      ...{ body: ATTACH, answer: EXPORT, problems: fetching },
    },
    ({ agent, body }) => agent.attach(body.image),
  ),
  route(
    'DELETE',
    '/v1/exports/{image}',
    {
      summary: 'Exports it no longer; its clients are cut off.',
      ...{ key: image, status: 204, problems: [...noImage, 'not-attached'] },
    },
    ({ agent, key }) => agent.detach(key),
  ),
  route('GET', '/v1/vms', { summary: 'The VMs of this node.', answer: VMS }, ({ agent }) => ({
    vms: agent.vmStatuses(),
  })),
  route(
    'POST',
    '/v1/vms',
    {
      summary: 'Makes a VM: an overlay on the image, and what starts it.',
      ...{ body: VM_CREATION, answer: VM },
      problems: [
        ...['vm-name-invalid', 'vm-size-invalid', 'vm-qmp-invalid', 'vm-exists'],
        ...[...fetching, 'disk-full'],
      ],
    },
    ({ agent, body }) => {
      const { sizeBytes, qmp: socket } = body;
      return agent.createVm(body.image, body.name, { sizeBytes, qmp: socket });
    },
  ),
  route(
    'GET',
    '/v1/vms/{vm}',
    { summary: 'One VM.', key: vm, answer: VM, problems: ['vm-not-found'] },
    ({ agent, key }) => agent.vm(key),
  ),
  route(
    'POST',
    '/v1/vms/{vm}/pivot',
    {
      summary: 'Moves a running VM to the file in the cache. Answers when that is done.',
      ...{ key: vm, answer: VM_STATUS },
      problems: [...moving, 'vm-not-running', 'vm-no-qmp', ...local, ...qmp],
    },
    ({ agent, key }) => agent.pivotVm(key),
  ),
  route(
    'POST',
    '/v1/vms/{vm}/flatten',
    {
      summary: 'Copies all that the VM reads into its overlay.',
      ...{ key: vm, answer: VM_STATUS, problems: [...moving, 'vm-running', 'disk-full'] },
    },
    ({ agent, key }) => agent.flattenVm(key),
  ),
  route(
    'POST',
    '/v1/vms/{vm}/rebase',
    {
      summary: 'Has a VM that is shut down read the swarm, or the file in the cache.',
      ...{ key: vm, body: REBASE, answer: VM_STATUS },
      problems: [...moving, 'vm-running', ...local, ...fetching],
    },
    ({ agent, key, body }) => agent.rebaseVm(key, body.to),
  ),
  route(
    'DELETE',
    '/v1/vms/{vm}',
    {
      summary: 'Removes a VM and its overlay; one that runs only with force=1.',
      ...{ key: vm, query: REMOVE_QUERY, status: 204 },
      problems: ['vm-not-found', 'vm-running', 'vm-busy'],
    },
    ({ agent, key, query }) => agent.removeVm(key, query.force === '1'),
  ),
  route(
    'POST',
    '/v1/upgrade',
    {
      summary: 'Starts the code that is on the disk now; this agent ends, and that one takes over.',
      ...{ answer: UPGRADE, problems: ['no-successor'] },
      // Whether or not who asked has heard it: the successor waits.
      after: (agent) => agent.leave(),
    },
    ({ agent }) => agent.prepareUpgrade(),
  ),
];
