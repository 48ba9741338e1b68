/**
 * Copies that this agent makes for others (POST /v1/copies): one directory that the operator has named is all they may read and
 * write files in, as whoever may open the control socket must not do so with the agent's rights elsewhere. How a copy goes is
 * packages/copy's.
 */
import { randomBytes } from 'node:crypto';
import {
  builtInSchemes,
  type CopyTask,
  copy,
  filePathOf,
  nbdExportOf,
  parseCopyUri,
  requireInside,
  type SwarmImages,
} from '@bootswarm/copy';
import type { GlanceClient } from '@bootswarm/openstack';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { CopyRequest, CopyStatus } from './api.ts';

interface Entry {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly task: CopyTask;
  error: { readonly code: string; readonly message: string; readonly hint: string } | undefined;
}

/** Each fills an image or reads a source at full speed. */
const COPIES_MAX = 8;
/** Copies that are over, for who asks later. */
const ENDED_MAX = 100;

export class CopyDesk {
  readonly #directory: string | undefined;
  readonly #images: SwarmImages;
  readonly #glance: GlanceClient | undefined;
  readonly #entries = new Map<string, Entry>();

  /** `directory`: undefined when no copies are made. */
  constructor(directory: string | undefined, images: SwarmImages, glance?: GlanceClient) {
    this.#directory = directory;
    this.#images = images;
    this.#glance = glance;
  }

  /** Throws OperatorError `copies-off`, `copy-outside`, `too-many-copies`, `uri-invalid` or `scheme-unknown`. */
  async start({ from, to, sha256, force }: CopyRequest): Promise<CopyStatus> {
    const [fromUri, toUri] = [parseCopyUri(from), parseCopyUri(to)];
    const schemes = builtInSchemes({
      images: this.#images,
      glance: this.#glance,
      inside: this.#directory,
    });
    schemes.reader(fromUri);
    schemes.writer(toUri);
    if (fromUri.scheme === 'file') await this.#requireInside(filePathOf(fromUri));
    if (fromUri.scheme === 'nbd+unix') await this.#requireInside(nbdExportOf(fromUri).socketPath);
    await this.#requireInside(filePathOf(toUri));
    const running = [...this.#entries.values()].filter((each) => !isOver(each));
    if (running.length >= COPIES_MAX) {
      throw new OperatorError(
        'too-many-copies',
        `${COPIES_MAX} copies are under way on this node`,
        'Wait for one of them: GET /v1/copies.',
      );
    }
    const task = copy(from, to, { schemes, sha256, force });
    const id = randomBytes(8).toString('hex');
    const entry: Entry = { id, from: fromUri.shown, to: toUri.shown, task, error: undefined };
    this.#entries.set(id, entry);
    task.wait().catch((error: unknown) => {
      const isTold = error instanceof OperatorError;
      entry.error = {
        code: isTold ? error.code : 'copy-failed',
        message: messageOf(error),
        hint: isTold ? error.hint : "Look for the cause in the agent's log.",
      };
    });
    this.#forgetEnded();
    return statusOf(entry);
  }

  list(): CopyStatus[] {
    return Array.from(this.#entries.values(), statusOf);
  }

  /** Throws OperatorError `copy-not-found`. */
  get(id: string): CopyStatus {
    return statusOf(this.#find(id));
  }

  /** Cancels one that is under way, with what it has copied; forgets one that is over. */
  async remove(id: string): Promise<void> {
    const entry = this.#find(id);
    entry.task.cancel();
    await entry.task.wait().catch(() => {});
    this.#entries.delete(id);
  }

  /** What was copied stays: the same copy goes on after a restart, when somebody asks for it. */
  async close(): Promise<void> {
    for (const { task } of this.#entries.values()) task.cancel({ keep: true });
    await Promise.allSettled(Array.from(this.#entries.values(), ({ task }) => task.wait()));
  }

  #find(id: string): Entry {
    const found = this.#entries.get(id);
    if (found !== undefined) return found;
    throw new OperatorError(
      'copy-not-found',
      `This agent has no copy ${JSON.stringify(id.slice(0, 64))}`,
      'List its copies with GET /v1/copies.',
    );
  }

  /** What is opened then is looked at again: links change. */
  async #requireInside(path: string): Promise<void> {
    const directory = this.#directory;
    if (directory === undefined) {
      throw new OperatorError(
        'copies-off',
        'This agent makes no copies for others',
        'Start it with --copies DIR, or run bootswarm copy, which works with your own rights.',
      );
    }
    await requireInside(path, directory);
  }

  #forgetEnded(): void {
    const ended = [...this.#entries.values()].filter(isOver);
    for (const { id } of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) {
      this.#entries.delete(id);
    }
  }
}

function isOver({ task }: Entry): boolean {
  return ['done', 'failed', 'cancelled'].includes(task.progress.phase);
}

function statusOf({ id, from, to, task, error }: Entry): CopyStatus {
  return { id, from, to, ...task.progress, ...(error !== undefined && { error }) };
}
