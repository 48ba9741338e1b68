/**
 * Finds the route of a request: one table says every method and path there is, and what is not in it is refused. What a route
 * does, and who may use it, is for its daemon to say.
 */
import { assert, OperatorError } from '@bootswarm/stdx';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface RouteName {
  readonly method: Method;
  /** `/v1/images/{image}/metainfo`: at most one segment in braces, which stands for any text that is not empty. */
  readonly path: string;
}

export interface Found<Route> {
  readonly route: Route;
  /** What the segment in braces is in this request, decoded; empty when there is none. */
  readonly key: string;
}

export class RouteTable<Route extends RouteName> {
  readonly routes: readonly Route[];
  readonly #patterns: readonly (readonly string[])[];

  constructor(routes: readonly Route[]) {
    const names = new Set(routes.map(routeKey));
    assert(names.size === routes.length, 'a route is in the table twice');
    this.routes = routes;
    this.#patterns = routes.map(({ path }) => path.split('/'));
  }

  /**
   * `path` without a query, as the request line has it; HEAD is GET. Throws OperatorError `route-not-found`,
   * `method-not-allowed` or `path-malformed`.
   */
  find(method: string | undefined, path: string): Found<Route> {
    const segments = path.split('/');
    const matching = this.routes.filter((_, at) => matches(this.#patterns[at], segments));
    if (matching.length === 0) {
      throw new OperatorError(
        'route-not-found',
        'There is nothing at this path',
        'GET /v1/openapi.json says what there is; CLI and daemon may be of different versions.',
      );
    }
    const wanted = method === 'HEAD' ? 'GET' : method;
    const route = matching.find((each) => each.method === wanted);
    if (route === undefined) {
      throw new OperatorError(
        'method-not-allowed',
        `This path has no ${method}`,
        `It has ${matching.map((each) => each.method).join(', ')}.`,
      );
    }
    const at = route.path.split('/').findIndex(isParameter);
    return { route, key: at === -1 ? '' : decodeSegment(segments[at]) };
  }
}

/** `GET /v1/images/{image}`: what documents and tests call a route by. */
export function routeKey({ method, path }: RouteName): string {
  return `${method} ${path}`;
}

/** The name in braces, if the path has one. */
export function parameterOf(path: string): string | undefined {
  return path.split('/').find(isParameter)?.slice(1, -1);
}

function isParameter(segment: string): boolean {
  return segment.startsWith('{');
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  return (
    pattern.length === segments.length &&
    pattern.every(
      (part, index) => part === segments[index] || (isParameter(part) && segments[index] !== ''),
    )
  );
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new OperatorError(
      'path-malformed',
      'The path is not valid',
      'Percent-encode it as UTF-8.',
    );
  }
}
