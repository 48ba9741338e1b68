/** The routes of prefetch orders, and what a node holds of each image. What they do is PrefetchDesk's matter. */
import type { ServerResponse } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';
import type { NodeImageSummary } from './api.ts';
import type { HttpApiOptions, Route } from './http-api.ts';
import { prefetchSummary, readPrefetchRequest } from './prefetch-request.ts';

type Parts = Pick<HttpApiOptions, 'catalogue' | 'prefetches' | 'signals'>;
type SendJson = (response: ServerResponse, value: object, status?: number) => void;

export function prefetchRoutes({ catalogue, prefetches }: Parts, sendJson: SendJson): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/prefetches',
      access: 'open',
      handle: ({ response }) => {
        const all = prefetches().list();
        sendJson(response, { prefetches: all.map((each) => prefetchSummary(each, catalogue)) });
      },
    },
    {
      method: 'GET',
      path: '/v1/prefetches/{prefetch}',
      access: 'open',
      handle: ({ response, key }) =>
        sendJson(response, prefetchSummary(prefetches().find(key), catalogue)),
    },
    {
      method: 'POST',
      path: '/v1/prefetches',
      access: 'admin',
      handle: async ({ request, response }) => {
        const { image, ...order } = await readPrefetchRequest(request);
        const stats = await prefetches().add(catalogue.find(image).image.id, order);
        sendJson(response, prefetchSummary(stats, catalogue), 201);
      },
    },
    {
      method: 'DELETE',
      path: '/v1/prefetches/{prefetch}',
      access: 'admin',
      handle: async ({ response, key }) => {
        await prefetches().cancel(key);
        response.writeHead(204).end();
      },
    },
  ];
}

/** Throws OperatorError `node-not-found`. */
export function nodeImages(
  node: string,
  { catalogue, prefetches, signals }: Parts,
): { node: string; images: NodeImageSummary[] } {
  const found = signals().node(node);
  if (found === undefined) {
    throw new OperatorError(
      'node-not-found',
      `No node ${JSON.stringify(node.slice(0, 128))} is connected`,
      'List those that are with: bootswarm nodes.',
    );
  }
  const images = found
    .filter(({ image }) => catalogue.has(image))
    .map(({ image, piecesHad }) => {
      const { name, pieceCount } = catalogue.find(image).image;
      const held = prefetches().bootHeld(node, image);
      const bootOrderFraction = held && held.pieces > 0 ? held.piecesHad / held.pieces : null;
      return {
        image,
        name,
        pieceCount,
        piecesHad,
        cachedFraction: piecesHad / pieceCount,
        bootOrderFraction,
      };
    });
  return { node, images };
}
