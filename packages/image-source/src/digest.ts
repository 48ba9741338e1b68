/** Compares a file with the digest that whoever gave it promised. Reads all of it, holes too, since the digest covers them. */
import { createHash, getHashes } from 'node:crypto';
import { OperatorError } from '@bootswarm/stdx';
import type { LocalFile } from './local-file.ts';

export interface Digest {
  /** As Python's hashlib and OpenSSL name it: sha512. */
  readonly algorithm: string;
  /** Lower-case hex. */
  readonly value: string;
}

const READ_LENGTH = 1024 * 1024;

/** Throws OperatorError `digest-unsupported` or `digest-mismatch`; when aborted, the signal's reason. */
export async function requireDigest(
  name: string,
  file: LocalFile,
  { algorithm, value }: Digest,
  signal?: AbortSignal,
): Promise<void> {
  if (!getHashes().includes(algorithm)) {
    throw new OperatorError(
      'digest-unsupported',
      `${name} is hashed with ${algorithm}, which this host does not know`,
      'Have the image stored again with a hashing_algorithm such as sha512.',
    );
  }
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafe(READ_LENGTH);
  for (let offset = 0; offset < file.length; offset += READ_LENGTH) {
    signal?.throwIfAborted();
    const bytes = buffer.subarray(0, Math.min(READ_LENGTH, file.length - offset));
    await file.read(bytes, offset);
    hash.update(bytes);
  }
  if (hash.digest('hex') === value) return;
  throw new OperatorError(
    'digest-mismatch',
    `The bytes that came for ${name} do not have the ${algorithm} that was promised`,
    'The store behind it may be damaged, or something between changes what it sends. Download the image and compare.',
  );
}
