/**
 * The two secrets of a tracker, made at its first start: the publisher's key, which signs metainfo, and the admin token,
 * which lets a caller publish. Both are files that only their owner may read; a looser mode is refused, not repaired,
 * because somebody may have read it already.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import {
  generatePublisherKey,
  publicKeyHex,
  publisherKeyFromPem,
  publisherKeyToPem,
} from '@bootswarm/metainfo';
import { errnoOf, OperatorError } from '@bootswarm/stdx';
import type { DataDir } from './data-dir.ts';
import { replaceFile } from './durable-file.ts';

export interface Secrets {
  readonly publisherKey: KeyObject;
  /** 64 hex digits. */
  readonly publicKeyHex: string;
  /** 43 characters of base64url. */
  readonly adminToken: string;
}

/** Throws OperatorError `secret-exposed`, `publisher-key` or `admin-token`. */
export async function loadSecrets(dataDir: DataDir): Promise<Secrets> {
  const pem = await loadOrMake(dataDir.publisherKey, () =>
    publisherKeyToPem(generatePublisherKey()),
  );
  const token = await loadOrMake(dataDir.adminToken, () => randomBytes(32).toString('base64url'));
  const publisherKey = publisherKeyFromPem(pem);
  const adminToken = token.trim();
  if (adminToken.length < 32) {
    throw new OperatorError(
      'admin-token',
      `The admin token in ${dataDir.adminToken} has less than 32 characters`,
      'Delete the file; the tracker makes a new one when it starts.',
    );
  }
  return { publisherKey, publicKeyHex: publicKeyHex(publisherKey), adminToken };
}

async function loadOrMake(path: string, make: () => string): Promise<string> {
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) {
      throw new OperatorError(
        'secret-exposed',
        `Others than its owner may access ${path} (mode ${(mode & 0o777).toString(8)})`,
        `Replace it if anybody may have read it; otherwise: chmod 600 ${path}`,
      );
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const secret = make();
  await replaceFile(path, secret.endsWith('\n') ? secret : `${secret}\n`, 0o600);
  return secret;
}
