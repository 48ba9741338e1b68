/** The routes of prefetch orders, and what a node holds of each image. What they do is PrefetchDesk's matter. */
import type { IncomingMessage } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';
import type { Access } from './access.ts';
import type { NodeImageSummary } from './api.ts';
import { isRestricted } from './glance/visibility.ts';
import type { HttpApiOptions, Route } from './http-api.ts';
import { prefetchNotFound } from './prefetch-desk.ts';
import { prefetchSummary, readPrefetchRequest } from './prefetch-request.ts';
import { sendJson } from './send-json.ts';

type Parts = Pick<HttpApiOptions, 'catalogue' | 'prefetches' | 'signals'>;

export function prefetchRoutes({ catalogue, prefetches }: Parts, access: Access): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/prefetches',
      access: 'open',
      handle: ({ request, response }) => {
        const listed = access.listed(request);
        const all = prefetches()
          .list()
          .filter(({ spec }) => listed.has(spec.image));
        sendJson(response, { prefetches: all.map((each) => prefetchSummary(each, catalogue)) });
      },
    },
    {
      method: 'GET',
      path: '/v1/prefetches/{prefetch}',
      access: 'open',
      handle: ({ request, response, key }) => {
        const found = prefetches().find(key);
        if (!access.listed(request).has(found.spec.image)) throw prefetchNotFound(key);
        sendJson(response, prefetchSummary(found, catalogue));
      },
    },
    {
      method: 'POST',
      path: '/v1/prefetches',
      access: 'admin',
      handle: async ({ request, response }) => {
        const { image: key, ...order } = await readPrefetchRequest(request);
        const { image } = catalogue.find(key);
        if (isRestricted(image.glance) && order.nodes === undefined) throw nodesNeeded();
        const stats = await prefetches().add(image.id, order);
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

/** Any program that reaches the tracker may call itself a node, and would be told the id by which the swarm is joined. */
function nodesNeeded(): OperatorError {
  return new OperatorError(
    'nodes-needed',
    'The image is private in Glance: it is fetched ahead on nodes that are named, and on no part of the cloud',
    'Name the nodes: --nodes NODE,NODE.',
  );
}

/** Of images that the caller may know of. Throws OperatorError `node-not-found`, or of GlanceClient. */
export async function nodeImages(
  request: IncomingMessage,
  node: string,
  { catalogue, prefetches, signals }: Parts,
  access: Access,
): Promise<{ node: string; images: NodeImageSummary[] }> {
  const found = signals().node(node);
  if (found === undefined) {
    throw new OperatorError(
      'node-not-found',
      `No node ${JSON.stringify(node.slice(0, 128))} is connected`,
      'List those that are with: bootswarm nodes.',
    );
  }
  const images: NodeImageSummary[] = [];
  for (const { image, piecesHad } of found.filter((each) => catalogue.has(each.image))) {
    const summary = catalogue.find(image).image;
    if (!(await access.mayKnow(request, summary))) continue;
    const { name, pieceCount, zeroPieces } = summary;
    const dataPieces = pieceCount - zeroPieces;
    const dataHad = Math.max(0, piecesHad - zeroPieces);
    const held = prefetches().bootHeld(node, image);
    images.push({
      image,
      name,
      pieceCount,
      piecesHad,
      cachedFraction: dataPieces === 0 ? 1 : dataHad / dataPieces,
      bootOrderFraction: held && held.pieces > 0 ? held.piecesHad / held.pieces : null,
    });
  }
  return { node, images };
}
