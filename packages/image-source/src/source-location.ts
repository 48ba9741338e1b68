/**
 * What a source may be called: a path on this host, or a URI of one of the schemes below. The one place where schemes are
 * registered; how the bytes of each come here is fetch-image.ts's. Reads nothing.
 */
import { OperatorError } from '@bootswarm/stdx';

export type SourceLocation =
  | { readonly type: 'path'; readonly path: string }
  | { readonly type: 'http'; readonly url: URL }
  | { readonly type: 'glance'; readonly imageId: string }
  | RemoteDisk;

/** A disk that only QEMU's block drivers can read. */
export interface RemoteDisk {
  readonly type: 'remote-disk';
  /** As QEMU's BlockdevOptions have it. */
  readonly blockdev: Readonly<Record<string, unknown>>;
  /** What it is called where anybody may read it. */
  readonly name: string;
}

type Parser = (source: string) => SourceLocation | undefined;

/** By what a source begins with; only so much of it is taken for a scheme, as a path may have colons. */
const SCHEMES: Readonly<Record<string, Parser>> = {
  'http://': parseHttp,
  'https://': parseHttp,
  'glance:': parseGlance,
  'rbd:': parseRbd,
  'iscsi://': parseIscsi,
  'nbd://': parseNbd,
  'nbd+unix://': parseNbdUnix,
};

/** What an operator who gave something else is told. */
export const SOURCES_TOLD =
  "Give an absolute path on the tracker's host, an http(s) URL, glance:IMAGE_ID, rbd:POOL/IMAGE[@SNAPSHOT], " +
  'iscsi://HOST[:PORT]/TARGET/LUN, nbd://HOST[:PORT]/EXPORT or nbd+unix:///EXPORT?socket=PATH.';

/** Throws OperatorError `source-unsupported`. */
export function parseSource(source: string): SourceLocation {
  const scheme = schemeOf(source);
  if (scheme === undefined) return { type: 'path', path: source };
  const parse = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  const location = parse?.(source);
  if (location !== undefined) return location;
  const why =
    parse === undefined
      ? `${scheme} is no scheme of a source`
      : `what follows ${scheme} is not valid`;
  throw new OperatorError('source-unsupported', `Cannot publish from there: ${why}`, SOURCES_TOLD);
}

/** Whether it is a URI, and not a path, whatever else is wrong with it. */
export function isSourceUri(source: string): boolean {
  return schemeOf(source) !== undefined;
}

/** The source as everybody may see it: a URL may carry a password, or a signature in its query. */
export function publicSource(source: string): string {
  const location = parseSource(source);
  if (location.type === 'path') return source;
  if (location.type === 'glance') return `glance:${location.imageId}`;
  if (location.type === 'remote-disk') return location.name;
  const { protocol, host, pathname } = location.url;
  return `${protocol}//${host}${pathname}`;
}

/** The beginning that makes it a URI; undefined: a path. */
function schemeOf(source: string): string | undefined {
  const begin = /^([a-z][a-z0-9+.-]*:)(\/\/)?/i.exec(source);
  if (begin === null) return undefined;
  const [whole, scheme] = [begin[0].toLowerCase(), begin[1].toLowerCase()];
  if (Object.hasOwn(SCHEMES, scheme)) return scheme;
  return whole.endsWith('//') ? whole : undefined;
}

function parseHttp(source: string): SourceLocation | undefined {
  const url = URL.parse(source);
  return url === null ? undefined : { type: 'http', url };
}

function parseGlance(source: string): SourceLocation | undefined {
  const imageId = source.slice('glance:'.length).toLowerCase();
  const isId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(imageId);
  return isId ? { type: 'glance', imageId } : undefined;
}

/** rbd:POOL/IMAGE[@SNAPSHOT][:id=USER][:conf=FILE], as QEMU and Cinder write it. Keys come from the files of Ceph. */
function parseRbd(source: string): SourceLocation | undefined {
  const match = /^rbd:([^/:@\\]+)\/([^/:@\\]+)(?:@([^/:@\\]+))?((?::(?:id|conf)=[^:\\]+)*)$/i.exec(
    source,
  );
  if (match === null) return undefined;
  const [, pool, image, snapshot, rest] = match;
  const options = new Map<string, string>();
  for (const option of rest.split(':').slice(1)) {
    options.set(option.slice(0, option.indexOf('=')), option.slice(option.indexOf('=') + 1));
  }
  const user = options.get('id');
  const conf = options.get('conf');
  const blockdev = {
    ...{ driver: 'rbd', pool, image },
    ...(snapshot !== undefined && { snapshot }),
    ...(user !== undefined && { user }),
    ...(conf !== undefined && { conf }),
  };
  const name = `rbd:${pool}/${image}${snapshot === undefined ? '' : `@${snapshot}`}`;
  return { type: 'remote-disk', blockdev, name };
}

/** A password would be seen in the arguments of qemu-img by all users of the host: there is none. */
function parseIscsi(source: string): SourceLocation | undefined {
  const match =
    /^iscsi:\/\/([\w.-]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?\/([\w.:-]{1,223})\/(\d{1,5})$/i.exec(
      source,
    );
  if (match === null) return undefined;
  const [, host, port = '3260', target, lun] = match;
  const portal = `${host}:${port}`;
  const blockdev = { driver: 'iscsi', transport: 'tcp', portal, target, lun: Number(lun) };
  return { type: 'remote-disk', blockdev, name: `iscsi://${portal}/${target}/${lun}` };
}

function parseNbd(source: string): SourceLocation | undefined {
  const url = URL.parse(source);
  if (url === null || url.hostname === '' || url.username !== '' || url.search !== '') {
    return undefined;
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const server = { type: 'inet', host, port: url.port === '' ? '10809' : url.port };
  const exportName = exportOf(url);
  if (exportName === undefined) return undefined;
  const blockdev = { driver: 'nbd', server, export: exportName };
  return { type: 'remote-disk', blockdev, name: `nbd://${url.host}${url.pathname}` };
}

function parseNbdUnix(source: string): SourceLocation | undefined {
  const url = URL.parse(source);
  const path = url?.searchParams.get('socket') ?? '';
  if (url === null || url.host !== '' || !path.startsWith('/')) return undefined;
  const exportName = exportOf(url);
  if (exportName === undefined) return undefined;
  const blockdev = { driver: 'nbd', server: { type: 'unix', path }, export: exportName };
  return { type: 'remote-disk', blockdev, name: `nbd+unix://${url.pathname}?socket=${path}` };
}

function exportOf({ pathname }: URL): string | undefined {
  try {
    return decodeURIComponent(pathname.replace(/^\//, ''));
  } catch {
    return undefined;
  }
}
