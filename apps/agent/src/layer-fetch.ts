/**
 * Fetches the piece layer of an image: from its swarm, and from the tracker itself once the swarm has brought nothing for a
 * while. Decides when that is; what arrives either way is checked against the image's pieces root.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Metainfo, type PieceLayer, packLayer, unpackLayer } from '@bootswarm/metainfo';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { LayerSwarm } from './layer-swarm.ts';

/** Why the tracker was asked. */
export type LayerFallback =
  /** Neither a member nor an origin is known. */
  | 'no-members'
  /** Some are, and no piece came from them. */
  | 'no-progress';

export interface LayerFetchOptions {
  readonly metainfo: Metainfo;
  readonly swarm: LayerSwarm;
  /** Of the tracker's catalogue; rejects with OperatorError. */
  readonly fromTracker: () => Promise<PieceLayer>;
  readonly onFallback: (reason: LayerFallback) => void;
  /** Default 5 s. */
  readonly stallMs?: number;
}

export interface FetchedLayer {
  readonly layer: PieceLayer;
  readonly packed: Uint8Array;
  readonly fallback?: LayerFallback;
}

/**
 * A dead parent in the relay tree costs a hedge of up to 2 s. The tracker sends a whole layer to whoever asks, so each node
 * waits up to as long again by chance: a thousand that lost their peers together do not all come together.
 */
const STALL_MS = 5_000;

/** Throws OperatorError `layer-refused`, or what `fromTracker` rejects with: then nobody could give it. */
export async function fetchLayer(options: LayerFetchOptions): Promise<FetchedLayer> {
  const { metainfo, swarm, fromTracker, onFallback, stallMs = STALL_MS } = options;
  swarm.fetch();
  for (let had = -1; had < swarm.piecesHad; ) {
    had = swarm.piecesHad;
    const packed = await within(swarm.whole, stallMs * (1 + Math.random()));
    if (packed) return { packed, layer: unpackedLayer(metainfo, packed) };
  }
  const fallback: LayerFallback = swarm.hasMembers ? 'no-progress' : 'no-members';
  onFallback(fallback);
  const asked = fromTracker().then((layer) => ({ layer, packed: packLayer(layer), fallback }));
  // Whoever comes second is not heard.
  asked.catch(() => {});
  const late = swarm.whole.then((packed) => ({ packed, layer: unpackedLayer(metainfo, packed) }));
  late.catch(() => {});
  const fetched: FetchedLayer = await Promise.race([asked, late]);
  if (!swarm.adopt(fetched.packed)) throw layerRefused(metainfo, 'its swarm carries another');
  return fetched;
}

/** Throws OperatorError `layer-refused` when it is not the layer under the image's pieces root. */
export function unpackedLayer(metainfo: Metainfo, packed: Uint8Array): PieceLayer {
  try {
    return unpackLayer(metainfo, packed);
  } catch (error) {
    throw layerRefused(metainfo, messageOf(error));
  }
}

export function layerRefused({ name, imageId }: Metainfo, reason: string): OperatorError {
  return new OperatorError(
    'layer-refused',
    `The piece layer that was signed for image ${name} (${imageId}) is not that of the image: ${reason}`,
    'Withdraw the image and publish it again.',
  );
}

/** Undefined when the time is over first. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  const over = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: over.signal });
  timeout.catch(() => {});
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    over.abort();
  }
}
