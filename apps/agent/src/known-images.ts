/**
 * What a cache directory holds of its images, checked ahead: an agent that waits for its turn reads metainfo and piece layers
 * while another still owns the directory, and so serves sooner. It is a memory of checks and nothing more: when the directory is
 * the agent's own it reads the files again, and what is not the same bytes is checked anew.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Metainfo,
  openSignedMetainfo,
  type PieceLayer,
  type SignedMetainfo,
} from '@bootswarm/metainfo';
import { METAINFO_BYTES_MAX } from './catalogue-client.ts';
import { unpackedLayer } from './layer-fetch.ts';
import { PublisherPin } from './publisher-pin.ts';

export const METAINFO_FILE = 'metainfo';
export const PACKED_LAYER_FILE = 'packed-layer';
const IMAGE_ID = /^[0-9a-f]{40}$/;

interface KnownImage {
  readonly keyHex: string | undefined;
  readonly metainfo: Buffer;
  readonly signed: SignedMetainfo;
  readonly packed?: Buffer;
  readonly layer?: PieceLayer;
}

export class KnownImages {
  readonly #images = new Map<string, KnownImage>();
  /** By image: the times and lengths of what was read, so that it is not read again. */
  readonly #looks = new Map<string, string>();

  /** As openSignedMetainfo(). */
  signed(imageId: string, bytes: Uint8Array, keyHex: string | undefined): SignedMetainfo {
    const known = this.#images.get(imageId);
    if (known?.keyHex === keyHex && known?.metainfo.equals(bytes)) return known.signed;
    return openSignedMetainfo(bytes, keyHex);
  }

  /** As unpackedLayer(). */
  layer(metainfo: Metainfo, packed: Uint8Array): PieceLayer {
    const known = this.#images.get(metainfo.imageId);
    // Two images of one id have one root, and so one layer.
    if (known?.layer && known.packed?.equals(packed)) return known.layer;
    return unpackedLayer(metainfo, packed);
  }

  /** Reads and checks what is new. What cannot be read or believed is left for the agent to say when it is its own. */
  look(cacheDir: string, publisherKey: string | undefined): void {
    try {
      const { keyHex } = new PublisherPin(cacheDir, publisherKey);
      const imageIds = new Set(readdirSync(cacheDir).filter((name) => IMAGE_ID.test(name)));
      // A successor may wait for months: what is evicted meanwhile is not to stay in its memory.
      for (const known of [this.#images, this.#looks])
        for (const imageId of known.keys()) if (!imageIds.has(imageId)) known.delete(imageId);
      for (const imageId of imageIds) this.#lookAt(join(cacheDir, imageId), imageId, keyHex);
    } catch {
      // No directory yet, or a key that nobody can read.
    }
  }

  /** The agent has opened its images. */
  forget(): void {
    this.#images.clear();
    this.#looks.clear();
  }

  #lookAt(directory: string, imageId: string, keyHex: string | undefined): void {
    const paths = [METAINFO_FILE, PACKED_LAYER_FILE].map((name) => join(directory, name));
    const stats = paths.map((path) => statSync(path, { throwIfNoEntry: false }));
    const look = stats.map((file) => `${file?.ino} ${file?.mtimeMs} ${file?.size}`).join();
    if (this.#looks.get(imageId) === look) return;
    this.#looks.set(imageId, look);
    const [metainfoStats, layerStats] = stats;
    if (metainfoStats === undefined || metainfoStats.size > METAINFO_BYTES_MAX) return;
    try {
      const metainfo = readFileSync(paths[0]);
      const signed = openSignedMetainfo(metainfo, keyHex);
      const image = { keyHex, metainfo, signed };
      this.#images.set(imageId, image);
      if (layerStats === undefined || layerStats.size !== signed.layerTorrent?.metainfo.length)
        return;
      const packed = readFileSync(paths[1]);
      const layer = unpackedLayer(signed.metainfo, packed);
      this.#images.set(imageId, { ...image, packed, layer });
    } catch {
      // See look().
    }
  }
}
