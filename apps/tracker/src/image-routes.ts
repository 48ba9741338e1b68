/** The routes of images: what there is of one, publishing and withdrawing. Who may know of which is Access's matter. */
import type { Access } from './access.ts';
import { bootOrderSummary } from './boot-order-summary.ts';
import type { Call, HttpApiOptions, Route } from './http-api.ts';
import { sendImageFile } from './image-download.ts';
import { publishStream } from './publish-stream.ts';
import { sendJson } from './send-json.ts';

type Parts = Pick<
  HttpApiOptions,
  'catalogue' | 'publisher' | 'log' | 'signals' | 'openAtOrigin' | 'withdraw'
>;

/** What reads comes first, as in the document. */
export function imageRoutes(parts: Parts, access: Access): { reading: Route[]; changing: Route[] } {
  const open = (path: string, handle: Route['handle']): Route => ({
    ...{ method: 'GET', path, access: 'open', handle },
  });
  const download =
    (what: 'metainfo' | 'torrent' | 'piece-layer') =>
    async ({ request, response, key }: Call): Promise<void> => {
      const { directory } = await access.find(request, key);
      await sendImageFile(request, response, directory, what);
    };
  const reading = [
    open('/v1/images', async ({ request, response }) =>
      sendJson(response, { images: await access.images(request) }),
    ),
    open('/v1/images/{image}', async ({ request, response, key }) =>
      sendJson(response, (await access.find(request, key)).image),
    ),
    open('/v1/images/{image}/boot-order', async ({ request, response, key }) => {
      const { image } = await access.find(request, key);
      sendJson(response, bootOrderSummary(image, parts.signals().bootOrderStats(image.id)));
    }),
    open('/v1/images/{image}/metainfo', download('metainfo')),
    open('/v1/images/{image}/torrent', download('torrent')),
    open('/v1/images/{image}/piece-layer', download('piece-layer')),
  ];
  return { reading, changing: changingRoutes(parts) };
}

function changingRoutes({ catalogue, publisher, log, openAtOrigin, withdraw }: Parts): Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/images',
      access: 'admin',
      handle: ({ request, response }) =>
        publishStream(request, response, publisher, { log, openAtOrigin }),
    },
    {
      method: 'DELETE',
      path: '/v1/images/{image}',
      access: 'admin',
      handle: async ({ response, key }) => {
        await withdraw(catalogue.find(key).image.id);
        response.writeHead(204).end();
      },
    },
  ];
}
