/** An image of Glance as the source of a copy: its bytes as they are stored there, proven by the hash that Glance has of them. */
import { type GlanceClient, type GlanceImage, isGlanceImageId } from '@bootswarm/openstack';
import { OperatorError } from '@bootswarm/stdx';
import type { Digest } from './copy-source.ts';
import { HttpSource } from './http-source.ts';

const ALGORITHMS: ReadonlySet<string> = new Set<Digest['algorithm']>([
  ...(['sha256', 'sha384', 'sha512', 'sha1', 'md5'] as const),
]);

/** Throws OperatorError `glance-not-found`, `glance-unusable` or `digest-unsupported`, and as GlanceClient and HttpSource do. */
export async function openGlanceImage(
  client: GlanceClient,
  id: string,
  signal: AbortSignal,
): Promise<HttpSource> {
  const image = isGlanceImageId(id) ? await client.image(id, signal) : undefined;
  if (image === undefined) {
    throw new OperatorError(
      'glance-not-found',
      `Glance shows us no image ${JSON.stringify(id.slice(0, 64))}`,
      'Give its id, as openstack image list prints it, and credentials of a project that may have it.',
    );
  }
  const { size } = image;
  if (image.status !== 'active' || !size) {
    throw new OperatorError(
      'glance-unusable',
      `The image ${id} of Glance has no bytes to copy: it is ${image.status}`,
      'Copy one that is active.',
    );
  }
  const { url } = await client.file(id);
  return HttpSource.open(url, signal, {
    shown: `glance:${id}`,
    length: size,
    digest: digestOf(image),
    headers: async () => (await client.file(id)).headers,
  });
}

function digestOf({ id, osHashAlgo: algorithm, osHashValue: hex }: GlanceImage): Digest {
  if (isAlgorithm(algorithm)) return { algorithm, hex };
  throw new OperatorError(
    'digest-unsupported',
    `The image ${id} of Glance has ${algorithm === '' ? 'no hash' : `the hash ${algorithm}, which is not known here`}`,
    'Have it stored again with a hashing_algorithm such as sha512.',
  );
}

function isAlgorithm(name: string): name is Digest['algorithm'] {
  return ALGORITHMS.has(name);
}
