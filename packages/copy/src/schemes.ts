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
  /** What to do instead, or first, where one of them is not there. */
  readonly hints?: Partial<Record<'reader' | 'writer', string>>;
}

const GLANCE_NEEDED =
  'Say where Glance is and who asks: --openstack-credentials FILE, or OS_* of the environment; ' +
  'or --glance-url URL for one without Keystone.';
const PUBLISH = 'What is in a swarm was published: bootswarm publish FILE --name NAME.';

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

  #refuse({ scheme, shown }: CopyUri, what: 'reader' | 'writer', direction: string): never {
    const able = [...this.#byName].filter(([, each]) => each[what] !== undefined);
    throw new OperatorError(
      'scheme-unknown',
      `cannot copy ${direction} ${shown.slice(0, 200)}: nothing here can do that with ${scheme}:`,
      this.#byName.get(scheme)?.hints?.[what] ??
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
  schemes.register('glance', {
    reader: glance && ((uri, signal) => openGlanceImage(glance, imageOf(uri), signal)),
    hints: { reader: GLANCE_NEEDED },
  });
  return schemes.register('swarm', {
    reader: images && ((uri, signal) => SwarmSource.open(images, imageOf(uri), signal)),
    hints: { writer: PUBLISH },
  });
}
