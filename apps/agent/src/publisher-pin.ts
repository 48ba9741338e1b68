/**
 * Whose signature on metainfo this node believes: the key given by the operator, else the first one seen, kept in the cache
 * directory from then on. So a tracker that is taken over later cannot pass off another image.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';

const KEY = /^[0-9a-f]{64}$/;

export class PublisherPin {
  readonly #path: string;
  #keyHex: string | undefined;

  /** `givenKeyHex` overrules what is kept. Throws OperatorError `publisher-pin` when the kept key cannot be read. */
  constructor(cacheDir: string, givenKeyHex: string | undefined) {
    this.#path = join(cacheDir, 'publisher.pub');
    this.#keyHex = givenKeyHex ?? this.#read();
  }

  /** 64 hex digits; undefined until a first key is kept. */
  get keyHex(): string | undefined {
    return this.#keyHex;
  }

  /**
   * Keeps the key of a metainfo whose signature was checked, if none is kept yet. Throws OperatorError `publisher-pin` when
   * another is: two images may have been on their way before there was any.
   */
  keep(keyHex: string): void {
    if (this.#keyHex === keyHex) return;
    if (this.#keyHex !== undefined) {
      throw new OperatorError(
        'publisher-pin',
        `The image is signed with the key ${keyHex}, and this node believes ${this.#keyHex}`,
        'Publish all images with one key, or give each publisher agents of its own.',
      );
    }
    // Flushed: after a power cut an empty file would keep the agent from starting.
    writeFileSync(`${this.#path}.tmp`, `${keyHex}\n`, { mode: 0o644, flush: true });
    renameSync(`${this.#path}.tmp`, this.#path);
    this.#keyHex = keyHex;
  }

  #read(): string | undefined {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8').trim();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw this.#unreadable(messageOf(error));
    }
    if (!KEY.test(text)) throw this.#unreadable('it does not hold a key');
    return text;
  }

  #unreadable(why: string): OperatorError {
    return new OperatorError(
      'publisher-pin',
      `Cannot read the publisher's key in ${this.#path}: ${why}`,
      'Remove the file to believe the next key seen, or give the right one with --publisher-key.',
    );
  }
}
