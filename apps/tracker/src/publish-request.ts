/** Reads the body of POST /v1/images, strictly: a field that nobody knows is a mistake, not a wish to be ignored. */
import type { IncomingMessage } from 'node:http';
import { parseSource, SOURCES_TOLD } from '@bootswarm/image-source';
import { OperatorError } from '@bootswarm/stdx';
import type { PublishRequest } from './api.ts';

/** A source of 4,096 bytes (PATH_MAX) escaped as JSON, and the rest. */
const BODY_BYTES_MAX = 32 * 1024;
const SOURCE_LENGTH_MAX = 4_096;

/** Throws OperatorError `content-type`, `body-…`, `field-unknown` or `field-invalid`. */
export async function readPublishRequest(request: IncomingMessage): Promise<PublishRequest> {
  return parsePublishRequest(
    await readJsonObject(request, BODY_BYTES_MAX, '{"source": "/path/of/image"}'),
  );
}

/** `example`: of what would be right. Throws OperatorError `content-type` or `body-…`. */
export async function readJsonObject(
  request: IncomingMessage,
  bytesMax: number,
  example: string,
): Promise<Record<string, unknown>> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json(;|$)/i.test(type) || request.headers['content-encoding'] !== undefined) {
    throw new OperatorError(
      'content-type',
      'The body is not plain JSON',
      'Send it with Content-Type: application/json and no Content-Encoding.',
    );
  }
  const text = await readBody(request, bytesMax);
  if (text === '') {
    throw new OperatorError('body-missing', 'The body is empty', `Send ${example}.`);
  }
  return objectIn(text);
}

function objectIn(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OperatorError('body-malformed', 'The body is not JSON', 'Send one JSON object.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OperatorError('body-malformed', 'The body is not an object', 'Send one JSON object.');
  }
  return value as Record<string, unknown>;
}

function parsePublishRequest(value: Record<string, unknown>): PublishRequest {
  const { source, name, format, inPlace, prejoin, ...unknown } = value;
  const [extra] = Object.keys(unknown);
  if (extra !== undefined) {
    throw new OperatorError(
      'field-unknown',
      `There is no field ${JSON.stringify(extra.slice(0, 64))}`,
      'The fields are source, name, format, inPlace and prejoin.',
    );
  }
  if (typeof source !== 'string') throw invalid('source', SOURCES_TOLD);
  requireSource(source);
  if (name !== undefined && typeof name !== 'string') throw invalid('name', 'Give a string.');
  if (format !== undefined && format !== 'raw' && format !== 'qcow2') {
    throw invalid('format', 'Give "raw" or "qcow2", or leave it out.');
  }
  if (inPlace !== undefined && typeof inPlace !== 'boolean') {
    throw invalid('inPlace', 'Give true or false.');
  }
  if (prejoin !== undefined && prejoin !== 'all' && prejoin !== 'none') {
    throw invalid('prejoin', 'Give "all" or "none", or leave it out.');
  }
  return {
    source,
    ...(name !== undefined && { name }),
    ...(format !== undefined && { format }),
    ...(inPlace !== undefined && { inPlace }),
    ...(prejoin !== undefined && { prejoin }),
  };
}

function requireSource(source: string): void {
  const isTooLong = source.length > SOURCE_LENGTH_MAX || source.includes('\0');
  try {
    if (!isTooLong && (parseSource(source).type !== 'path' || source.startsWith('/'))) return;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    throw new OperatorError('field-invalid', error.message, error.hint);
  }
  throw invalid('source', SOURCES_TOLD);
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = Number(request.headers['content-length'] ?? 0);
  if (length <= bytesMax) {
    length = 0;
    for await (const chunk of request) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > bytesMax) break;
    }
  }
  if (length > bytesMax) {
    throw new OperatorError(
      'body-too-long',
      `The body has more than ${bytesMax} bytes`,
      'Send the location of an image, not the image.',
    );
  }
  return Buffer.concat(chunks).toString('utf8');
}

function invalid(field: string, hint: string): OperatorError {
  return new OperatorError('field-invalid', `The field ${field} is missing or wrong`, hint);
}
