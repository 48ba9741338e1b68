/**
 * Which images stand in what is told of the whole cloud: all to the administrator, to everybody else those that Glance keeps from
 * nobody. What is not in the catalogue any more may have been private.
 */
import type { Alarm } from '@bootswarm/tracker-proto';
import type { Catalogue } from './catalogue.ts';
import { isRestricted } from './glance/visibility.ts';

/** An image's id, or the id that Glance has given it. */
const IMAGE_ID = /\b(?:[0-9a-f]{40}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b/g;

export class ListedImages {
  readonly #catalogue: Catalogue;
  readonly #isAdmin: boolean;

  constructor(catalogue: Catalogue, isAdmin: boolean) {
    this.#catalogue = catalogue;
    this.#isAdmin = isAdmin;
  }

  has(image: string): boolean {
    if (this.#isAdmin) return true;
    const catalogue = this.#catalogue;
    return catalogue.has(image) && !isRestricted(catalogue.find(image).image.glance);
  }

  /** What is the matter is told to all, of which image it is not. */
  alarm(alarm: Alarm): Alarm {
    if (this.#isAdmin) return alarm;
    const { subject, reason, hint } = alarm;
    return {
      ...alarm,
      subject: this.#text(subject),
      reason: this.#text(reason),
      hint: this.#text(hint),
    };
  }

  #text(text: string): string {
    return text.replace(IMAGE_ID, (id) => {
      const image = id.length === 40 ? id : this.#catalogue.ofGlance(id)?.id;
      return image !== undefined && this.has(image) ? id : 'a private image';
    });
  }
}
