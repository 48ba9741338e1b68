/** Prefetch orders as GET /v1/prefetches tells them: one on its way, one that is late, one for no node, one that is done. */

const NODES = 100;

export function prefetchOrders(startMs: number): object[] {
  const time = (seconds: number) => new Date(startMs + seconds * 1_000).toISOString();
  return [
    {
      ...{ id: '5f2c9a0b1d3e4f60', image: '7f3a9c21d4e8b6050f1e2d3c4b5a69788796a5b4' },
      ...{ imageName: 'debian-12', state: 'active', isLate: false, percent: 20, minCopies: 0 },
      ...{ bootOrderOnly: true, priority: 5, pin: false, createdAt: time(-600) },
      deadlineAt: time(3_000),
      nodes: Array.from({ length: NODES }, (_, index) => nodeOf(index, 741)),
    },
    {
      ...{ id: 'a81b4e6f20c3d597', image: '1c5e8d7b3a9f20416b7c8d9eaf0b1c2d3e4f5a6b' },
      ...{ imageName: '5f6a2c1e-0b7d-4c3a-9e8f-1a2b3c4d5e6f', state: 'active', isLate: true },
      ...{ zone: 'az2', percent: 100 },
      ...{ minCopies: 3, bootOrderOnly: false, priority: 9, pin: true, createdAt: time(-7_200) },
      ...{ deadlineAt: time(-900), expiresAt: time(600_000) },
      nodes: [
        { node: 'cmp-2', state: 'done', piecesHad: 30_400, piecesWanted: 30_400, code: '' },
        { node: 'cmp-10', state: 'fetching', piecesHad: 11_212, piecesWanted: 30_400, code: '' },
        { node: 'cmp-18', state: 'failed', piecesHad: 0, piecesWanted: 30_400, code: 'disk-full' },
        { node: 'cmp-26', state: 'waiting', piecesHad: 0, piecesWanted: 0, code: '' },
      ],
    },
    {
      ...{ id: 'c3d597a81b4e6f20', image: '7f3a9c21d4e8b6050f1e2d3c4b5a69788796a5b4' },
      ...{ imageName: 'debian-12', state: 'active', isLate: false, zone: 'az9', percent: 100 },
      ...{ minCopies: 0, bootOrderOnly: false, priority: 0, pin: false, createdAt: time(-3_600) },
      nodes: [],
    },
    {
      ...{ id: '09d7c5b3a1f0e2d4', image: '7f3a9c21d4e8b6050f1e2d3c4b5a69788796a5b4' },
      ...{ imageName: 'debian-12', state: 'done', isLate: false, nodesGiven: ['cmp-1', 'cmp-2'] },
      ...{ bootOrderOnly: false, priority: 5, pin: true, createdAt: time(-90_000) },
      nodes: ['cmp-1', 'cmp-2'].map((node) => ({
        ...{ node, state: 'done', piecesHad: 6_592, piecesWanted: 6_592, code: '' },
      })),
    },
  ];
}

function nodeOf(index: number, piecesWanted: number): object {
  const node = `cmp-${index * 5 + 1}`;
  if (index < 46) return { node, state: 'done', piecesHad: piecesWanted, piecesWanted, code: '' };
  if (index >= 80) return { node, state: 'waiting', piecesHad: 0, piecesWanted: 0, code: '' };
  return { node, state: 'fetching', piecesHad: (index * 37) % 700, piecesWanted, code: '' };
}
