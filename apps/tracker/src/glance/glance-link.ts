/**
 * All that a tracker has to do with Glance, joined: where originals come from, who may see what, and the follower, whose imports
 * are published and seeded and whose withdrawals are for all. Without a Glance, images that were private stay unseen.
 */
import {
  type Credentials,
  GlanceClient,
  KeystoneSession,
  NoAuthSession,
} from '@bootswarm/openstack';
import { OperatorError } from '@bootswarm/stdx';
import type { Logger } from 'pino';
import type { GlanceFollowStatus } from '../api.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Publisher } from '../publisher.ts';
import type { SignalServer } from '../signal-server.ts';
import { type FollowedCatalogue, GlanceFollower, type GlanceSelection } from './glance-follower.ts';
import { GlanceOriginals } from './glance-originals.ts';
import { asAnnounced, Visibility } from './visibility.ts';

export interface GlanceOptions {
  /** Default: what the catalog of Keystone says. */
  readonly url?: URL;
  /** Default: none, for a Glance that asks for none. */
  readonly credentials?: Credentials;
  /** Which of its images are published by themselves. */
  readonly selection: GlanceSelection;
  readonly pollMs: number;
}

/** What following acts on. */
export interface FollowParts {
  readonly catalogue: Catalogue;
  readonly publisher: Publisher;
  readonly signals: SignalServer;
  readonly log: Logger;
  readonly openAtOrigin: (image: string) => Promise<void>;
  readonly withdraw: (image: string) => Promise<void>;
}

export class GlanceLink {
  readonly visibility: Visibility;
  readonly originals: GlanceOriginals | undefined;
  readonly #options: GlanceOptions | undefined;
  readonly #client: GlanceClient | undefined;
  #follower: GlanceFollower | undefined;

  /** `options`: none: there is no Glance. Throws OperatorError `glance-unknown`. */
  constructor(options: GlanceOptions | undefined) {
    this.#options = options;
    this.#client = options && clientOf(options);
    this.visibility = new Visibility(this.#client);
    this.originals = this.#client && new GlanceOriginals(this.#client);
  }

  /** undefined: there is none to follow. */
  status(): GlanceFollowStatus | undefined {
    return this.#follower?.status();
  }

  follow(parts: FollowParts): void {
    if (this.#client === undefined || this.#options === undefined) return;
    const { selection, pollMs } = this.#options;
    const catalogue = this.#followed(parts);
    const { log } = parts;
    this.#follower = new GlanceFollower({
      client: this.#client,
      ...{ selection, pollMs, log, catalogue },
    });
    this.#follower.start();
  }

  async close(): Promise<void> {
    await this.#follower?.close();
  }

  #followed(parts: FollowParts): FollowedCatalogue {
    const { catalogue, publisher, signals, log } = parts;
    return {
      list: () => catalogue.list(),
      ofGlance: (glanceId) => catalogue.ofGlance(glanceId),
      import: async (glanceId, signal) => {
        const source = `glance:${glanceId}`;
        log.info({ source }, 'publishing');
        const request = { source, prejoin: 'all' } as const;
        const { image } = await publisher.publish(request, () => {}, signal, { isFollowed: true });
        await parts.openAtOrigin(image.id);
        log.info({ image: image.id, source }, 'published');
      },
      describe: async (image, glance) => {
        // Before the catalogue says so: nobody is to be told on the strength of what was.
        this.visibility.forget();
        const told = await catalogue.describe(image.id, glance);
        signals.imagePublished(asAnnounced(told), []);
        log.info({ image: image.id, visibility: glance.visibility }, 'Glance describes it anew');
      },
      withdraw: (image) => parts.withdraw(image.id),
    };
  }
}

function clientOf({ url, credentials }: GlanceOptions): GlanceClient {
  if (credentials !== undefined) return new GlanceClient(new KeystoneSession(credentials, url));
  if (url !== undefined) return new GlanceClient(new NoAuthSession(url));
  throw new OperatorError(
    'glance-unknown',
    'It is not told where Glance is',
    'Give --glance-url URL, or credentials of a Keystone whose catalog has it.',
  );
}
