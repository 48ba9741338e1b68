/** Reads the body of POST /v1/prefetches, strictly, and tells orders in the words of the HTTP API. */
import type { IncomingMessage } from 'node:http';
import { OperatorError } from '@bootswarm/stdx';
import { isName, MEMBERS_MAX, PRIORITY_MAX, type PrefetchStats } from '@bootswarm/tracker-proto';
import type { PrefetchRequest, PrefetchSummary } from './api.ts';
import type { Catalogue } from './catalogue.ts';
import { readJsonObject } from './publish-request.ts';

/** 10,000 names of 128 bytes. */
const BODY_BYTES_MAX = 2 * 1024 * 1024;
/** Ten years: beyond any rollout. */
const SECONDS_MAX = 10 * 365 * 86_400;
const FIELDS =
  'image, nodes, zone, percent, minCopies, bootOrderOnly, priority, pin, deadlineSeconds and ttlSeconds';

/** Throws OperatorError `content-type`, `body-…`, `field-unknown`, `field-invalid` or `scope-missing`. */
export async function readPrefetchRequest(request: IncomingMessage): Promise<PrefetchRequest> {
  return parsePrefetchRequest(
    await readJsonObject(request, BODY_BYTES_MAX, '{"image": "debian-12", "percent": 100}'),
  );
}

function parsePrefetchRequest(value: Record<string, unknown>): PrefetchRequest {
  const { image, nodes, zone, percent, minCopies, bootOrderOnly, priority, pin, ...rest } = value;
  const { deadlineSeconds, ttlSeconds, ...unknown } = rest;
  const [extra] = Object.keys(unknown);
  if (extra !== undefined) {
    const what = `There is no field ${JSON.stringify(extra.slice(0, 64))}`;
    throw new OperatorError('field-unknown', what, `The fields are ${FIELDS}.`);
  }
  if (typeof image !== 'string' || image === '') throw invalid('image', 'Give an id or a name.');
  if (nodes !== undefined && !isNameList(nodes))
    throw invalid('nodes', 'Give a list of names of nodes.');
  if (zone !== undefined && !(typeof zone === 'string' && isName(zone)))
    throw invalid('zone', 'Give the name of a zone.');
  for (const [name, flag] of Object.entries({ bootOrderOnly, pin })) {
    if (flag !== undefined && typeof flag !== 'boolean') throw invalid(name, 'Give true or false.');
  }
  requireNumber('percent', percent, 1, 100);
  requireNumber('minCopies', minCopies, 1, MEMBERS_MAX);
  requireNumber('priority', priority, 0, PRIORITY_MAX);
  requireNumber('deadlineSeconds', deadlineSeconds, 1, SECONDS_MAX);
  requireNumber('ttlSeconds', ttlSeconds, 1, SECONDS_MAX);
  const isSomewhere = [nodes, zone, percent, minCopies].some((each) => each !== undefined);
  const isTwice =
    nodes !== undefined && [zone, percent, minCopies].some((each) => each !== undefined);
  if (!isSomewhere || isTwice) {
    throw new OperatorError(
      'scope-missing',
      isTwice ? 'nodes goes with no other scope' : 'It does not say which nodes are meant',
      'Give nodes, or any of zone, percent and minCopies; all nodes are {"percent": 100}.',
    );
  }
  return value as unknown as PrefetchRequest;
}

export function prefetchSummary(stats: PrefetchStats, catalogue: Catalogue): PrefetchSummary {
  const { spec, end, nodes, isLate, isDone } = stats;
  const { id, image, zone, percent, minCopies, bootOrderOnly, priority, isPinned } = spec;
  const found = catalogue.has(image) ? catalogue.find(image).image : undefined;
  return {
    id,
    image,
    imageName: found?.name ?? '',
    state: end ?? (isDone ? 'done' : 'active'),
    isLate,
    ...(spec.nodes === undefined
      ? { ...(zone !== undefined && { zone }), percent, minCopies }
      : { nodesGiven: spec.nodes }),
    bootOrderOnly,
    priority,
    pin: isPinned,
    createdAt: dateOf(spec.createdAtMs),
    ...(spec.deadlineAtMs !== undefined && { deadlineAt: dateOf(spec.deadlineAtMs) }),
    ...(spec.expiresAtMs !== undefined && { expiresAt: dateOf(spec.expiresAtMs) }),
    nodes: nodes.map(([node, prefetch]) => ({ node, ...prefetch })),
  };
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}

function isNameList(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > MEMBERS_MAX) return false;
  return value.every((each) => typeof each === 'string' && isName(each));
}

function requireNumber(name: string, value: unknown, min: number, max: number): void {
  if (value === undefined) return;
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw invalid(name, `Give a whole number from ${min} to ${max}.`);
}

function invalid(field: string, hint: string): OperatorError {
  return new OperatorError('field-invalid', `The field ${field} is missing or wrong`, hint);
}
