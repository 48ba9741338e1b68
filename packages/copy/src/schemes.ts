/** Which schemes FROM and TO may have, and what each can do: the one place where a new one is registered. */
import type { GlanceClient } from '@bootswarm/openstack';
import { OperatorError } from '@bootswarm/stdx';
import type { CopySource } from './copy-source.ts';
import { type CopyUri, filePathOf, httpUrlOf, imageOf, nbdExportOf } from './copy-uri.ts';
import { FileSource } from './file-source.ts';
import { FileTarget } from './file-target.ts';
import { openGlanceImage } from './glance-source.ts';
import { HttpSource } from './http-source.ts';
import { NbdSource } from './nbd-source.ts';
import { type SwarmImages, SwarmSource } from './swarm-source.ts';

export type Reader = (uri: CopyUri, signal: AbortSignal) => Promise<CopySource>;
export type Writer = (uri: CopyUri, isForced: boolean) => Promise<FileTarget>;

export interface Scheme {
  readonly reader?: Reader;
  readonly writer?: Writer;
}

export class Schemes {
  readonly #byName = new Map<string, Scheme>();

  /** In place of one of the same name. */
  register(name: string, scheme: Scheme): this {
    this.#byName.set(name, scheme);
    return this;
  }

  /** Throws OperatorError `scheme-unknown`. */
  reader(uri: CopyUri): Reader {
    return this.#byName.get(uri.scheme)?.reader ?? this.#refuse(uri, 'reader', 'from');
  }

  /** Throws OperatorError `scheme-unknown`. */
  writer(uri: CopyUri): Writer {
    return this.#byName.get(uri.scheme)?.writer ?? this.#refuse(uri, 'writer', 'to');
  }

  #refuse({ scheme, shown }: CopyUri, what: keyof Scheme, direction: string): never {
    const able = [...this.#byName].filter(([, each]) => each[what] !== undefined);
    throw new OperatorError(
      'scheme-unknown',
      `cannot copy ${direction} ${shown.slice(0, 200)}: nothing here can do that with ${scheme}:`,
      `Copies go ${direction}: ${able.map(([name]) => `${name}:`).join(', ')}.`,
    );
  }
}

export interface SchemeOptions {
  /** Where `swarm:` is read from. */
  readonly images?: SwarmImages;
  /** Where `glance:` is read from. */
  readonly glance?: GlanceClient;
  /** The directory that no file or socket of this host may be outside of; default: any may be named. */
  readonly inside?: string;
}

/** What needs nothing but this host and the network; `swarm:` and `glance:` where there is an agent or a Glance to ask. */
export function builtInSchemes({ images, glance, inside }: SchemeOptions = {}): Schemes {
  const http: Scheme = { reader: (uri, signal) => HttpSource.open(httpUrlOf(uri), signal) };
  const schemes = new Schemes()
    .register('file', {
      reader: (uri) => FileSource.open(filePathOf(uri), inside),
      writer: (uri, isForced) => FileTarget.open(filePathOf(uri), isForced, inside),
    })
    .register('http', http)
    .register('https', http)
    .register('nbd+unix', {
      reader: (uri, signal) => NbdSource.open(nbdExportOf(uri), uri.shown, signal, inside),
    });
  if (glance !== undefined) {
    schemes.register('glance', {
      reader: (uri, signal) => openGlanceImage(glance, imageOf(uri), signal),
    });
  }
  if (images === undefined) return schemes;
  return schemes.register('swarm', {
    reader: (uri, signal) => SwarmSource.open(images, imageOf(uri), signal),
  });
}
