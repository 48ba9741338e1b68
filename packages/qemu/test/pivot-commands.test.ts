import { expect, test } from 'vitest';
import { findOverlay } from '../src/block-nodes.ts';
import { pivotCommands } from '../src/pivot-commands.ts';

const OVERLAY = '/vms/vm.qcow2';
const node = (name: string, drv: string, file: string, ro = false) => ({
  ...{ 'node-name': name, drv, file, ro, detect_zeroes: 'off' },
  cache: { direct: true, 'no-flush': false, writeback: true },
  image: { 'backing-filename': 'json:{}', 'backing-filename-format': 'raw' },
});
const NODES = [
  node('#block1', 'raw', 'nbd+unix:///x', true),
  node('#block2', 'nbd', 'nbd+unix:///x', true),
  node('overlay', 'qcow2', OVERLAY),
  node('#block3', 'file', OVERLAY),
];

test('finds the overlay by its file, under whatever name it has', () => {
  expect(findOverlay(NODES, OVERLAY)).toEqual({
    ...{ overlay: 'overlay', file: '#block3', backingFile: 'json:{}', backingFormat: 'raw' },
    options: {
      ...{ discard: 'unmap', 'detect-zeroes': 'off' },
      cache: { direct: true, 'no-flush': false },
    },
    names: new Set(['#block1', '#block2', 'overlay', '#block3']),
  });
});

test('finds an overlay that reads from another file than its header says', () => {
  const json = `json:${JSON.stringify({ driver: 'qcow2', file: { driver: 'file', filename: OVERLAY } })}`;
  const nodes = [node('top', 'qcow2', json), node('f', 'file', OVERLAY)];
  expect(findOverlay(nodes, OVERLAY)).toMatchObject({ overlay: 'top', file: 'f' });
});

test.each([
  ['that is not open', [node('overlay', 'qcow2', '/vms/other.qcow2'), node('f', 'file', OVERLAY)]],
  ['that is open for reading only', NODES.map((each) => ({ ...each, ro: true }))],
  ['that is open twice', [...NODES, node('again', 'qcow2', OVERLAY)]],
  ['in an answer that is no list', { return: NODES }],
  ['in a list of other things', [null, 7, 'overlay', []]],
  ['whose name is no name', NODES.map((each) => ({ ...each, 'node-name': 7 }))],
  ['behind json: that cannot be read', [node('a', 'qcow2', 'json:{'), node('b', 'file', OVERLAY)]],
])('does not find an overlay %s', (_, nodes) => {
  expect(findOverlay(nodes, OVERLAY)).toBeUndefined();
});

test('the commands of a pivot open the file, read from it, and write the header', () => {
  const { add, reopen, writeHeader, remove } = pivotCommands(
    findOverlay(NODES, OVERLAY)!,
    '/c.raw',
  );
  expect([add, reopen, writeHeader, remove]).toEqual([
    {
      execute: 'blockdev-add',
      arguments: {
        ...{ driver: 'raw', 'node-name': 'bootswarm-local', 'read-only': true },
        file: { driver: 'file', filename: '/c.raw' },
      },
    },
    {
      execute: 'blockdev-reopen',
      arguments: {
        options: [
          {
            ...{ driver: 'qcow2', 'node-name': 'overlay', file: '#block3' },
            ...{ backing: 'bootswarm-local', discard: 'unmap', 'detect-zeroes': 'off' },
            cache: { direct: true, 'no-flush': false },
          },
        ],
      },
    },
    {
      execute: 'block-stream',
      arguments: {
        ...{ 'job-id': 'bootswarm-header', device: 'overlay' },
        ...{ 'base-node': 'bootswarm-local', 'backing-file': '/c.raw' },
      },
    },
    { execute: 'blockdev-del', arguments: { 'node-name': 'bootswarm-local' } },
  ]);
});

test('the file is not opened twice when an attempt is repeated', () => {
  const nodes = [...NODES, node('bootswarm-local', 'raw', '/c.raw', true)];
  expect(pivotCommands(findOverlay(nodes, OVERLAY)!, '/c.raw').add).toBeUndefined();
});
