/**
 * The OpenAPI 3.1 document of a route table. What is said of a route is looked up under its method and path: a route without a
 * description, or a description without a route, is a mistake of ours that a test finds.
 */
import { assert } from '@bootswarm/stdx';
import { z } from 'zod';
import { parameterOf, type RouteName, routeKey } from './route-table.ts';

export interface RouteDescription {
  readonly summary: string;
  /** What the segment in braces stands for. */
  readonly key?: string;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Default: 200. */
  readonly status?: 200 | 201 | 204;
  /** Default: application/json. */
  readonly type?: string;
  /** Of the answer, or of each line or event of one that is a stream; bytes have none. */
  readonly answer?: z.ZodType;
  /** Codes of the problems a caller can cause, beside those that any request may meet. */
  readonly problems?: readonly string[];
}

export interface ApiDescription {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  /** By `METHOD path`. */
  readonly routes: Readonly<Record<string, RouteDescription>>;
  readonly statusOf: Readonly<Record<string, number>>;
}

type DescribedRoute = RouteName & { readonly access?: 'open' | 'admin' };

const PROBLEM = z.object({
  title: z.string(),
  status: z.number().int(),
  code: z.string().describe('stable: scripts match on it'),
  detail: z.string().describe('what failed, and on what'),
  hint: z.string().describe('what to do next'),
});

/** Throws an assertion when routes and descriptions are not the same. */
export function openApiDocument(routes: readonly DescribedRoute[], api: ApiDescription): object {
  const keys = new Set(routes.map(routeKey));
  const idle = Object.keys(api.routes).filter((key) => !keys.has(key));
  assert(idle.length === 0, `described and not in the route table: ${idle.join(', ')}`);
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const description = api.routes[routeKey(route)];
    assert(description !== undefined, `${routeKey(route)} is in the route table and not described`);
    paths[route.path] ??= {};
    paths[route.path][route.method.toLowerCase()] = operationOf(route, description, api.statusOf);
  }
  const isGuarded = routes.some(({ access }) => access === 'admin');
  return {
    openapi: '3.1.0',
    info: {
      title: api.title,
      version: api.version,
      description: api.description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: { Problem: schemaOf(PROBLEM) },
      ...(isGuarded && { securitySchemes: { admin: { type: 'http', scheme: 'bearer' } } }),
    },
  };
}

function operationOf(
  route: DescribedRoute,
  description: RouteDescription,
  statusOf: Readonly<Record<string, number>>,
): object {
  const { summary, body, status = 200 } = description;
  const guards = route.access === 'admin' ? ['token-missing', 'token-wrong'] : [];
  return {
    summary,
    operationId: operationIdOf(route),
    parameters: parametersOf(route, description),
    ...(guards.length > 0 && { security: [{ admin: [] }] }),
    ...(body && {
      requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } },
    }),
    responses: {
      [status]: answerOf(description),
      ...problemsOf([...guards, ...(description.problems ?? [])], statusOf),
      default: problemAnswer('Any other problem; code "internal" is the daemon\'s own fault.'),
    },
  };
}

/** `GET /v1/images/{image}/boot-order` → getImagesBootOrder */
function operationIdOf({ method, path }: RouteName): string {
  const words = path.replace(/^\/v\d+\//, '').match(/[a-z]+(?![^{]*\})/g) ?? [];
  const name = words.map((word) => word[0].toUpperCase() + word.slice(1)).join('');
  return method.toLowerCase() + name + (path.endsWith('}') ? 'One' : '');
}

function parametersOf({ path }: RouteName, { key, query }: RouteDescription): object[] {
  const name = parameterOf(path);
  assert((name === undefined) === (key === undefined), `${path}: say what is in braces`);
  const schema = { type: 'string', minLength: 1 };
  const ofPath = name === undefined ? [] : [{ name, in: 'path', required: true, schema }];
  const properties = Object.entries(query?.shape ?? {});
  return [
    ...ofPath.map((each) => ({ ...each, description: key })),
    ...properties.map(([each, type]) => ({
      name: each,
      in: 'query',
      required: !(type as z.ZodType).safeParse(undefined).success,
      schema: schemaOf(type as z.ZodType),
    })),
  ];
}

function answerOf({ status = 200, type = 'application/json', answer }: RouteDescription): object {
  if (status === 204) return { description: 'Done.' };
  const schema = answer ? schemaOf(answer) : { type: 'string', format: 'binary' };
  return { description: 'The answer.', content: { [type]: { schema } } };
}

/** By status: its codes. */
function problemsOf(codes: readonly string[], statusOf: Readonly<Record<string, number>>): object {
  const byStatus: Record<string, string[]> = {};
  for (const code of codes) {
    assert(code in statusOf, `problem ${code} has no status`);
    byStatus[statusOf[code]] ??= [];
    byStatus[statusOf[code]].push(code);
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, each]) => [status, problemAnswer(each.join(', '))]),
  );
}

function problemAnswer(description: string): object {
  const schema = { $ref: '#/components/schemas/Problem' };
  return { description, content: { 'application/problem+json': { schema } } };
}

/** OpenAPI 3.1 takes JSON Schema 2020-12 as it is. */
function schemaOf(type: z.ZodType): object {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { io: 'input' });
  return schema;
}
