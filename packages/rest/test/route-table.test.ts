import { OperatorError } from '@bootswarm/stdx';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openApiDocument, RouteTable } from '../src/index.ts';

const ROUTES = [
  { method: 'GET', path: '/v1/images' },
  { method: 'POST', path: '/v1/images' },
  { method: 'GET', path: '/v1/images/{image}' },
  { method: 'GET', path: '/v1/images/{image}/metainfo' },
] as const;
const table = new RouteTable(ROUTES);

function codeOf(find: () => unknown): string {
  try {
    find();
  } catch (error) {
    if (error instanceof OperatorError) return error.code;
    throw error;
  }
  return 'found';
}

test('finds a route by method and path, and decodes what stands for the braces', () => {
  expect(table.find('GET', '/v1/images/debian%2012/metainfo')).toEqual({
    route: ROUTES[3],
    key: 'debian 12',
  });
  expect(table.find('HEAD', '/v1/images')).toEqual({ route: ROUTES[0], key: '' });
  expect(table.find('POST', '/v1/images').route).toBe(ROUTES[1]);
});

test.each([
  ['GET', '/v1/images/', 'route-not-found'],
  ['GET', '//v1/images', 'route-not-found'],
  ['GET', '', 'route-not-found'],
  ['PUT', '/v1/images', 'method-not-allowed'],
  [undefined, '/v1/images', 'method-not-allowed'],
  ['GET', '/v1/images/%ff', 'path-malformed'],
])('refuses %s %s as %s', (method, path, code) => {
  expect(codeOf(() => table.find(method, path))).toBe(code);
});

test('throws nothing but OperatorError, whatever the path', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (method, path) => {
      codeOf(() => table.find(method, path));
      codeOf(() => table.find('GET', `/v1/images/${path}`));
    }),
  );
});

test('takes no route twice', () => {
  expect(() => new RouteTable([ROUTES[0], ROUTES[0]])).toThrow('twice');
});

describe('the OpenAPI document', () => {
  const api = {
    ...{ title: 't', version: '1', description: 'd', statusOf: { 'image-not-found': 404 } },
    routes: {
      'GET /v1/images/{image}': {
        summary: 'One.',
        key: 'its id',
        query: z.strictObject({ force: z.enum(['0', '1']).optional() }),
        answer: z.strictObject({ id: z.string() }),
        problems: ['image-not-found'],
      },
    },
  };
  const routes = [{ ...ROUTES[2], access: 'admin' as const }];
  const statusOf = { ...api.statusOf, 'token-missing': 401, 'token-wrong': 401 };

  test('says of a route what it takes and answers', () => {
    const { paths } = openApiDocument(routes, { ...api, statusOf }) as {
      paths: Record<string, Record<string, object>>;
    };
    const schema = {
      ...{ type: 'object', properties: { id: { type: 'string' } } },
      ...{ required: ['id'], additionalProperties: false },
    };
    expect(paths['/v1/images/{image}'].get).toMatchObject({
      parameters: [
        { name: 'image', in: 'path', required: true },
        { name: 'force', in: 'query', required: false, schema: { enum: ['0', '1'] } },
      ],
      security: [{ admin: [] }],
      responses: {
        200: { content: { 'application/json': { schema } } },
        401: { description: 'token-missing, token-wrong' },
        404: { description: 'image-not-found' },
      },
    });
  });

  test('is refused when routes and descriptions are not the same', () => {
    expect(() => openApiDocument(ROUTES, { ...api, statusOf })).toThrow('not described');
    expect(() => openApiDocument([], { ...api, statusOf })).toThrow('not in the route table');
    expect(() => openApiDocument(routes, api)).toThrow('has no status');
  });
});
