/**
 * A token of Keystone v3 for an application credential, renewed before it expires, and the endpoint of Glance that comes with
 * it. Of many who need one at once, one asks. Our clock need not agree with Keystone's: its times are used as a span only.
 */
import { OperatorError } from '@bootswarm/stdx';
import type { Credentials } from './credentials.ts';
import type { GlanceSession } from './glance-client.ts';
import { requestJson, unusable } from './json-request.ts';

interface Token {
  readonly value: string;
  /** Of performance.now(). */
  readonly renewAt: number;
  readonly glanceUrl: URL | undefined;
}

/** A catalog of a large cloud: some hundred services in some ten regions. */
const TOKEN_BYTES_MAX = 4 * 1024 * 1024;
/** A PKI token of old had up to some 8 KiB; HTTP headers end there too. */
const TOKEN_LENGTH_MAX = 16 * 1024;
/** So that one that is used until its very end does not expire on its way. */
const RENEWED_BEFORE_MS = 5 * 60_000;

/** No Keystone: a lab, or a Glance that asks nobody who he is. */
export class NoAuthSession implements GlanceSession {
  readonly #url: URL;

  constructor(glanceUrl: URL) {
    this.#url = glanceUrl;
  }

  async endpoint(): Promise<URL> {
    return this.#url;
  }

  async headers(): Promise<Readonly<Record<string, string>>> {
    return {};
  }

  refused(): boolean {
    return false;
  }
}

export class KeystoneSession implements GlanceSession {
  readonly #credentials: Credentials;
  readonly #glanceUrl: URL | undefined;
  #token: Token | undefined;
  #asking: Promise<Token> | undefined;

  /** `glanceUrl`: instead of what the catalog says. */
  constructor(credentials: Credentials, glanceUrl?: URL) {
    this.#credentials = credentials;
    this.#glanceUrl = glanceUrl;
  }

  /** Throws OperatorError `openstack-catalog` when there is no image service, and as headers() does. */
  async endpoint(): Promise<URL> {
    const url = this.#glanceUrl ?? (await this.#current()).glanceUrl;
    if (url !== undefined) return url;
    const { region = 'any', interface: side } = this.#credentials;
    throw new OperatorError(
      'openstack-catalog',
      `The catalog of Keystone has no ${side} endpoint of an image service in region ${region}`,
      'Say where Glance is with --glance-url, or correct OS_REGION_NAME and OS_INTERFACE.',
    );
  }

  /** Throws OperatorError `openstack-refused`, `openstack-unreachable` or `openstack-answer`. */
  async headers(): Promise<Readonly<Record<string, string>>> {
    return { 'x-auth-token': (await this.#current()).value };
  }

  /** It was answered with 401: whether asking again with new headers may help. */
  refused(headers: Readonly<Record<string, string>>): boolean {
    if (this.#token?.value === headers['x-auth-token']) this.#token = undefined;
    return true;
  }

  #current(): Promise<Token> | Token {
    if (this.#token !== undefined && performance.now() < this.#token.renewAt) return this.#token;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<Token> {
    const { authUrl, id, secret } = this.#credentials;
    const url = new URL(`${authUrl.href.replace(/\/$/, '')}/v3/auth/tokens`);
    const askedAt = performance.now();
    const identity = {
      methods: ['application_credential'],
      application_credential: { id, secret },
    };
    const { status, headers, body } = await requestJson(url, {
      service: 'Keystone',
      method: 'POST',
      body: { auth: { identity } },
      bytesMax: TOKEN_BYTES_MAX,
    });
    if (status !== 201 && status !== 200) throw refused(url, status);
    const value = headers.get('x-subject-token') ?? '';
    if (!/^[\x21-\x7e]+$/.test(value) || value.length > TOKEN_LENGTH_MAX) {
      throw unusable('Keystone', url, 'it has no token');
    }
    const { token } = body as { token?: unknown };
    const lifeMs = lifeOf(token);
    if (lifeMs === undefined) throw unusable('Keystone', url, 'it does not say when it expires');
    // Of one that lives shorter than ten minutes, the first half is used.
    const renewAt = askedAt + Math.max(lifeMs - RENEWED_BEFORE_MS, lifeMs / 2);
    this.#token = { value, renewAt, glanceUrl: glanceUrlOf(token, this.#credentials) };
    return this.#token;
  }
}

function refused(url: URL, status: number): OperatorError {
  return new OperatorError(
    'openstack-refused',
    `Keystone at ${url.origin} refuses the application credential: HTTP ${status}`,
    'Check that it exists and has not expired: openstack application credential list.',
  );
}

function lifeOf(token: unknown): number | undefined {
  const { issued_at: from, expires_at: to } = Object(token) as Record<string, unknown>;
  const life = Date.parse(String(to)) - Date.parse(String(from));
  return life > 0 ? life : undefined;
}

/** The first endpoint of a service of type `image` that is on our side and in our region. */
function glanceUrlOf(token: unknown, { region, interface: side }: Credentials): URL | undefined {
  const services = listOf(Object(token).catalog).filter(({ type }) => type === 'image');
  for (const endpoint of services.flatMap(({ endpoints }) => listOf(endpoints))) {
    if (endpoint.interface !== side) continue;
    if (region !== undefined && (endpoint.region_id ?? endpoint.region) !== region) continue;
    const url = URL.parse(String(endpoint.url).replace(/\/(v2\/?)?$/, ''));
    if (url !== null && /^https?:$/.test(url.protocol)) return url;
  }
  return undefined;
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map((each) => Object(each) as Record<string, unknown>) : [];
}
