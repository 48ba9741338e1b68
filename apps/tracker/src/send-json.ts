/** Answers with one JSON value; what it says is true of this moment, so nobody is to keep it. */
import type { ServerResponse } from 'node:http';

export function sendJson(response: ServerResponse, value: object, status = 200): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
