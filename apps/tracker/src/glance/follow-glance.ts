/** Joins the follower of Glance to the tracker: what it imports is published and seeded, what it withdraws is gone everywhere. */
import type { GlanceClient } from '@bootswarm/openstack';
import type { Logger } from 'pino';
import type { ImageSummary } from '../api.ts';
import type { Catalogue } from '../catalogue.ts';
import type { Publisher } from '../publisher.ts';
import { GlanceFollower, type GlanceSelection } from './glance-follower.ts';
import type { Visibility } from './visibility.ts';

export interface FollowGlanceOptions {
  readonly client: GlanceClient;
  readonly selection: GlanceSelection;
  readonly pollMs: number;
  readonly catalogue: Catalogue;
  readonly publisher: Publisher;
  readonly visibility: Visibility;
  readonly log: Logger;
  openAtOrigin(image: string): Promise<void>;
  /** Whether agents are told of it has changed. */
  announce(image: ImageSummary): void;
  withdraw(image: string): Promise<void>;
}

export function followGlance(options: FollowGlanceOptions): GlanceFollower {
  const { client, selection, pollMs, catalogue, publisher, visibility, log } = options;
  const follower = new GlanceFollower({
    ...{ client, selection, pollMs, log },
    catalogue: {
      list: () => catalogue.list(),
      ofGlance: (glanceId) => catalogue.ofGlance(glanceId),
      import: async (glanceId, signal) => {
        const source = `glance:${glanceId}`;
        log.info({ source }, 'publishing');
        const request = { source, prejoin: 'all' } as const;
        const { image } = await publisher.publish(request, () => {}, signal, { isFollowed: true });
        await options.openAtOrigin(image.id);
        log.info({ image: image.id, source }, 'published');
      },
      describe: async (image, glance) => {
        // Before the catalogue says so: nobody is to be told on the strength of what was.
        visibility.forget();
        const told = await catalogue.describe(image.id, glance);
        options.announce(told);
        log.info({ image: image.id, visibility: glance.visibility }, 'Glance describes it anew');
      },
      withdraw: (image) => options.withdraw(image.id),
    },
  });
  follower.start();
  return follower;
}
