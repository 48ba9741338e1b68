/** Which images of Glance can be published, and what image-source needs to know to bring one here. Downloads nothing itself. */
import type { SourceFormat, StoredImage } from '@bootswarm/image-source';
import type { GlanceClient, GlanceImage } from '@bootswarm/openstack';
import { OperatorError } from '@bootswarm/stdx';
import type { GlanceSource } from '../api.ts';

export interface GlanceImport {
  readonly source: GlanceSource;
  readonly stored: StoredImage;
}

/** Glance's disk formats. An ISO is the raw contents of a disc; what the rest are, no VM boots from as it is. */
const FORMATS: Readonly<Record<string, SourceFormat>> = { raw: 'raw', iso: 'raw', qcow2: 'qcow2' };

export class GlanceOriginals {
  readonly #client: GlanceClient;

  constructor(client: GlanceClient) {
    this.#client = client;
  }

  /** Throws OperatorError `glance-not-found` or `glance-unusable`, and as GlanceClient does. */
  async find(imageId: string, isFollowed: boolean): Promise<GlanceImport> {
    const image = await this.#client.image(imageId);
    if (image === undefined) {
      throw new OperatorError(
        'glance-not-found',
        `Glance has no image ${imageId} that the tracker may see`,
        "Check the id with openstack image show; a private image needs the tracker's project as a member, or an admin.",
      );
    }
    const why = whyUnusable(image);
    if (why !== undefined) {
      throw new OperatorError(
        'glance-unusable',
        `The image ${imageId} of Glance cannot be published: ${why}`,
        'Images that can be are active, in a bare container, and raw, qcow2 or iso.',
      );
    }
    const { url } = await this.#client.file(imageId);
    return {
      source: glanceSource(image, isFollowed),
      stored: {
        url,
        headers: async () => (await this.#client.file(imageId)).headers,
        format: FORMATS[image.diskFormat],
        digest: { algorithm: image.osHashAlgo, value: image.osHashValue },
      },
    };
  }
}

export function glanceSource(image: GlanceImage, isFollowed: boolean): GlanceSource {
  const { id, name, visibility, owner, diskFormat, size = 0, osHashAlgo, osHashValue } = image;
  return { id, name, visibility, owner, diskFormat, size, osHashAlgo, osHashValue, isFollowed };
}

/** undefined: it can be published. */
export function whyUnusable(image: GlanceImage): string | undefined {
  const { status, size, diskFormat, containerFormat, osHashValue } = image;
  if (status !== 'active') return `it is ${status}`;
  if (size === undefined || size === 0) return 'it has no bytes';
  if (containerFormat !== 'bare') return `its container format is ${containerFormat || 'not told'}`;
  if (!Object.hasOwn(FORMATS, diskFormat)) return `its disk format is ${diskFormat || 'not told'}`;
  return osHashValue === '' ? 'Glance has no hash of it' : undefined;
}
