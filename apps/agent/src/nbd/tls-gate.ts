/**
 * Turns the socket of an NBD client that has asked for TLS into one that carries it, with the certificate of this node. Decides
 * who may: with a CA, only clients that show a certificate of it. When TLS is asked for is nbd-proto's business.
 */

import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { createServer, type Server, type TlsOptions } from 'node:tls';
import { messageOf, OperatorError } from '@bootswarm/stdx';

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** Clients must show a certificate that was signed with one of these; without, everybody may connect. */
  readonly clientCa?: string;
}

export class TlsGate {
  /** Listens nowhere: connections are handed to it one by one, which is how Node checks clients' certificates. */
  readonly #server: Server;
  /** Who waits for a TLS handshake, by the client's address. */
  readonly #waiting = new Map<string, (secured: Socket) => void>();

  /** Throws OperatorError `bad-tls-files`. */
  constructor(files: TlsFiles) {
    this.#server = openServer(files);
    this.#server.on('secureConnection', (secured) => {
      this.#waiting.get(addressOf(secured))?.(secured);
    });
    // The socket below is destroyed, which its owner notices.
    this.#server.on('tlsClientError', () => {});
  }

  /** `done` is given the socket to go on with. When the handshake fails, or the client is refused, `socket` is closed. */
  secure(socket: Socket, done: (secured: Socket) => void): void {
    const address = addressOf(socket);
    this.#waiting.set(address, done);
    socket.once('close', () => {
      if (this.#waiting.get(address) === done) this.#waiting.delete(address);
    });
    this.#server.emit('connection', socket);
  }
}

/** Of all connections to one port that are open at a time, no two have the same. */
function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function openServer({ certificate, key, clientCa }: TlsFiles): Server {
  const options: TlsOptions = {
    cert: read('certificate', certificate),
    key: read('key', key),
    ca: clientCa === undefined ? undefined : read('CA', clientCa),
    requestCert: clientCa !== undefined,
    rejectUnauthorized: clientCa !== undefined,
    minVersion: 'TLSv1.2',
    // Each connection is one NBD client for as long as it lives: tickets to resume a session would never be used.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  try {
    return createServer(options);
  } catch (error) {
    throw new OperatorError(
      'bad-tls-files',
      `Cannot use the TLS certificate ${certificate} with the key ${key}: ${messageOf(error)}`,
      'Give PEM files: a certificate with its chain, the key that belongs to it, and a CA for clients.',
      { cause: error },
    );
  }
}

function read(what: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new OperatorError(
      'bad-tls-files',
      `Cannot read the TLS ${what} of the NBD server: ${messageOf(error)}`,
      'Give a PEM file that the agent may read.',
      { cause: error },
    );
  }
}
