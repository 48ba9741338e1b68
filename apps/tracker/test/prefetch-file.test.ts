import type { PrefetchRecord } from '@bootswarm/tracker-proto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePrefetches, encodePrefetches } from '../src/prefetch-file.ts';

const name = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
const whole = fc.nat();
const record: fc.Arbitrary<PrefetchRecord> = fc.record(
  {
    spec: fc.record(
      {
        id: fc.stringMatching(/^[0-9a-f]{16}$/),
        image: fc.stringMatching(/^[0-9a-f]{40}$/),
        nodes: fc.array(name),
        zone: name,
        percent: fc.nat(100),
        minCopies: whole,
        bootOrderOnly: fc.boolean(),
        priority: fc.nat(9),
        isPinned: fc.boolean(),
        createdAtMs: whole,
        deadlineAtMs: whole,
        expiresAtMs: whole,
      },
      {
        requiredKeys: [
          ...(['id', 'image', 'percent', 'minCopies', 'bootOrderOnly'] as const),
          ...(['priority', 'isPinned', 'createdAtMs'] as const),
        ],
      },
    ),
    end: fc.constantFrom('expired', 'cancelled', 'withdrawn'),
    nodes: fc.array(
      fc.tuple(
        name,
        fc.record({
          state: fc.constantFrom('waiting', 'fetching', 'done', 'failed'),
          piecesHad: whole,
          piecesWanted: whole,
          code: fc.constantFrom('', 'cache-full'),
        }),
      ),
    ),
  },
  { requiredKeys: ['spec', 'nodes'] },
);

describe('prefetches.json', () => {
  test('gives back the orders that were kept', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 5 }), (records) => {
        expect(decodePrefetches(encodePrefetches(records))).toEqual(records);
      }),
    );
  });

  test.each([
    '',
    '{}',
    '{"version":2,"orders":[]}',
    '{"version":1,"orders":{}}',
    '{"version":1,"orders":[null]}',
    '{"version":1,"orders":[{"spec":{},"nodes":[]}]}',
  ])('is refused as %s', (text) => {
    expect(() => decodePrefetches(text)).toThrow();
  });
});
