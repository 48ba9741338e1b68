/** Images of the swarm for copies that the agent itself makes: what AgentImages of packages/copy asks for over the socket. */
import { setTimeout as delay } from 'node:timers/promises';
import type { SwarmImage, SwarmImages } from '@bootswarm/copy';
import type { Bitfield } from '@bootswarm/stdx';
import type { ImageSession } from './image-session.ts';

/** Between looks at what is held. */
const LOOK_MS = 200;

/** `open`: has it filled for as long as it is called again. */
export function sessionImages(open: (image: string) => Promise<ImageSession>): SwarmImages {
  return { open: async (image) => new SessionImage(await open(image), open) };
}

class SessionImage implements SwarmImage {
  readonly metainfo: SwarmImage['metainfo'];
  readonly layer: SwarmImage['layer'];
  readonly path: string;
  readonly #open: (image: string) => Promise<ImageSession>;
  #lookAt = 0;

  constructor(session: ImageSession, open: (image: string) => Promise<ImageSession>) {
    this.metainfo = session.metainfo;
    this.layer = session.pieceLayer;
    this.path = session.localCopy.path;
    this.#open = open;
  }

  async held(signal: AbortSignal): Promise<Bitfield> {
    const waitMs = this.#lookAt - performance.now();
    if (waitMs > 0) await delay(waitMs, undefined, { signal });
    this.#lookAt = performance.now() + LOOK_MS;
    // It may have been let go and opened again.
    const session = await this.#open(this.metainfo.imageId);
    return session.held.clone();
  }

  async close(): Promise<void> {}
}
