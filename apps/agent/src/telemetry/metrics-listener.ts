/** GET /metrics on a TCP port, for a Prometheus that cannot open the control socket. It serves nothing else. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type Metrics,
  problemOf,
  ROUTE_STATUS,
  RouteTable,
  sendMetrics,
  sendProblem,
} from '@bootswarm/rest';
import { messageOf, OperatorError } from '@bootswarm/stdx';

export interface MetricsAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

const TABLE = new RouteTable([{ method: 'GET', path: '/metrics' }] as const);
/** A scraper or two, and somebody who looks. */
const CONNECTIONS_MAX = 32;

export class MetricsListener {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Throws OperatorError `listen`. */
  static async listen(
    { host, port }: MetricsAddress,
    metrics: () => Metrics,
  ): Promise<MetricsListener> {
    const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
      try {
        TABLE.find(request.method, (request.url ?? '').split('?', 1)[0]);
        sendMetrics(response, metrics());
      } catch (error) {
        sendProblem(response, problemOf(error, ROUTE_STATUS, 'agent'));
      }
    });
    server.maxConnections = CONNECTIONS_MAX;
    try {
      server.listen({ host, port });
      await once(server, 'listening');
    } catch (error) {
      throw new OperatorError(
        'listen',
        `Cannot serve metrics on ${host}:${port}: ${messageOf(error)}`,
        'Give an address of this host and a port that is free with --metrics.',
        { cause: error },
      );
    }
    return new MetricsListener(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.closeAllConnections();
    this.#server.close();
    await closed;
  }
}
