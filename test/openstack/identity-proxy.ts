/**
 * A Keystone as small as can be, and the part of its middleware that stands before Glance: turns a token into identity headers.
 * Counts what reaches Glance, and can make its answers those of a store that serves no ranges.
 */
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

interface Identity {
  readonly project: string;
  readonly roles: string;
}

export class IdentityProxy {
  /** Path and query of each request that went on to Glance, with its method. */
  readonly seen: string[] = [];
  /** How the store behind Glance takes a Range: serves it, refuses it, or sends everything as if it were one. */
  ranges: 'served' | 'refused' | 'ignored' = 'served';
  tokensIssued = 0;
  /** Of the tokens that are issued from now on. */
  tokenSeconds = 3_600;
  readonly #tokens = new Map<string, Identity>();
  readonly #server: Server;
  readonly #glancePort: number;

  private constructor(server: Server, glancePort: number) {
    this.#server = server;
    this.#glancePort = glancePort;
  }

  static async start(glancePort: number): Promise<IdentityProxy> {
    const server = createServer((asked, answer) => self.#serve(asked, answer));
    const self = new IdentityProxy(server, glancePort);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return self;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A token for a project of that name. */
  token(project: string, roles = 'member,reader'): string {
    const token = `token-of-${project}-${this.#tokens.size}`;
    this.#tokens.set(token, { project, roles });
    return token;
  }

  /** An openrc file's text, for an application credential of an administrator. */
  get openrc(): string {
    return this.openrcOf('service');
  }

  /** And for one of a member of a project. */
  openrcOf(project: string): string {
    return [
      '#!/usr/bin/env bash',
      'export OS_AUTH_TYPE=v3applicationcredential',
      `export OS_AUTH_URL=${this.url}`,
      'export OS_REGION_NAME="here"',
      `export OS_APPLICATION_CREDENTIAL_ID=${project}`,
      `export OS_APPLICATION_CREDENTIAL_SECRET=${SECRET}`,
      '',
    ].join('\n');
  }

  /** Requests for the bytes of images that reached Glance. */
  get filesAsked(): number {
    return this.seen.filter((each) => /^GET \/v2\/images\/[^/]+\/file/.test(each)).length;
  }

  /** No token of before is good any more. */
  revokeAll(): void {
    this.#tokens.clear();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(asked: IncomingMessage, answer: ServerResponse): void {
    if (asked.url === '/v3/auth/tokens') void this.#issue(asked, answer);
    else this.#forward(asked, answer);
  }

  async #issue(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of asked) text += chunk;
    const { id, secret } = JSON.parse(text).auth.identity.application_credential;
    if (secret !== SECRET) {
      answer.writeHead(401).end();
      return;
    }
    this.tokensIssued += 1;
    const now = Date.now();
    const endpoint = { interface: 'public', region_id: 'here', url: this.url };
    const token = {
      issued_at: new Date(now).toISOString(),
      expires_at: new Date(now + this.tokenSeconds * 1_000).toISOString(),
      catalog: [{ type: 'image', name: 'glance', endpoints: [endpoint] }],
    };
    const value = this.token(id, id === 'service' ? 'admin,member,reader' : 'member,reader');
    answer.writeHead(201, { 'x-subject-token': value, 'content-type': 'application/json' });
    answer.end(JSON.stringify({ token }));
  }

  #forward(asked: IncomingMessage, answer: ServerResponse): void {
    const identity = this.#tokens.get(String(asked.headers['x-auth-token']));
    if (identity === undefined) {
      answer.writeHead(401).end();
      return;
    }
    this.seen.push(`${asked.method} ${asked.url}`);
    const isFile = asked.url?.endsWith('/file') === true && asked.method === 'GET';
    if (isFile && asked.headers.range !== undefined && this.ranges === 'refused') {
      answer.writeHead(400).end();
      return;
    }
    const isLying = isFile && asked.headers.range !== undefined && this.ranges === 'ignored';
    const headers = {
      ...asked.headers,
      'x-identity-status': 'Confirmed',
      'x-user-id': `user-of-${identity.project}`,
      'x-project-id': identity.project,
      'x-roles': identity.roles,
    };
    const forwarded = { port: this.#glancePort, path: asked.url, method: asked.method };
    const onward = request({ host: '127.0.0.1', ...forwarded, headers, agent: false }, (back) => {
      answer.writeHead(isLying ? 206 : (back.statusCode ?? 502), back.headers);
      back.pipe(answer);
    });
    if (isLying) onward.removeHeader('range');
    onward.on('error', () => {
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(503).end();
    });
    asked.pipe(onward);
  }
}

const SECRET = 'the-secret-of-the-tracker';
