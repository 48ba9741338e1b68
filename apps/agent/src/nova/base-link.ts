/**
 * One symbolic link among Nova's base images: what is there now, made, moved and removed. Whatever is not ours stays as it is.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { errnoOf } from '@bootswarm/stdx';

/** Nova's own name for the base image of an image of Glance. */
export function baseNameOf(glanceId: string): string {
  return createHash('sha1').update(glanceId).digest('hex');
}

/** nothing; another's: what Nova has downloaded, or a link of somebody else; or a link to one of our `targets`. */
export type BaseState =
  | { readonly type: 'nothing' }
  | { readonly type: 'foreign' }
  | { readonly type: 'ours'; readonly target: string };

export function baseStateOf(path: string, targets: readonly string[]): BaseState {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return { type: 'nothing' };
  const target = targetOf(path);
  if (target === undefined || !targets.includes(target)) return { type: 'foreign' };
  return { type: 'ours', target };
}

/** Where it leads; undefined for what is no link. */
export function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (['EINVAL', 'ENOENT'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** False when Nova was first. */
export function makeLink(path: string, target: string): boolean {
  try {
    symlinkSync(target, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** In one step: who opens it meanwhile gets the one or the other. */
export function moveLink(path: string, target: string): void {
  const temporary = `${path}.bootswarm`;
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, path);
}
