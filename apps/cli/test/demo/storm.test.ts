import type { TouchedPieces } from '@bootswarm/agent';
import { Bitfield } from '@bootswarm/stdx';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesNeeded } from '../../src/demo/bytes-needed.ts';
import { ConsoleWatch, MARKER_DEFAULT } from '../../src/demo/console-watch.ts';
import {
  type DemoResult,
  describeResult,
  type GuestResult,
  resultDocument,
  summary,
} from '../../src/demo/demo-report.ts';
import { demoQemuCommand, directQemuCommand } from '../../src/demo/qemu-command.ts';
import { stormView } from '../../src/demo/storm-view.ts';
import { capturedTerminal } from '../captured-terminal.ts';

const SUM = 'a1'.repeat(32);
const CONSOLE = `\x1b[2J\rSeaBIOS\r\nbootswarm-demo sha256 ${SUM}\r\nbootswarm-demo ready demo 2.5\r\n`;

test('finds marker and sum however the console is cut', () => {
  const cuts = fc.array(fc.integer({ min: 0, max: CONSOLE.length }));
  fc.assert(
    fc.property(cuts, (positions) => {
      const watch = new ConsoleWatch(new RegExp(MARKER_DEFAULT));
      const bounds = [0, ...positions.toSorted((a, b) => a - b), CONSOLE.length];
      for (const [index, from] of bounds.slice(0, -1).entries()) {
        watch.feed(CONSOLE.slice(from, bounds[index + 1]));
      }
      expect(watch.isReady).toBe(true);
      expect(watch.sha256).toBe(SUM);
      expect(watch.tail).toBe(
        `SeaBIOS\nbootswarm-demo sha256 ${SUM}\nbootswarm-demo ready demo 2.5`,
      );
    }),
  );
});

test('takes a login prompt, whose line has no end, as booted', () => {
  const watch = new ConsoleWatch(new RegExp(MARKER_DEFAULT));
  watch.feed('debian lo');
  expect(watch.isReady).toBe(false);
  watch.feed('gin: ');
  expect(watch.isReady).toBe(true);
});

test('keeps a bounded tail of a console that never stops', () => {
  const watch = new ConsoleWatch(/never/);
  for (let index = 0; index < 100; index += 1)
    watch.feed(`line ${index}\n\n${'x'.repeat(10_000)}\n`);
  watch.feed('y'.repeat(100_000));
  expect(watch.tail.length).toBeLessThan(200_000);
  expect(watch.tail.split('\n').length).toBeLessThanOrEqual(16);
  expect(watch.isReady).toBe(false);
});

test('fits the command of an agent to the demo and keeps its disk', () => {
  const argv = [
    ...['qemu-system-x86_64', '-name', 'vm-1', '-machine', 'q35,accel=kvm:tcg,usb=off'],
    ...['-accel', 'kvm', '-accel', 'tcg', '-cpu', 'max', '-m', '1024', '-blockdev', '{"a":"-m"}'],
    ...['-serial', 'mon:stdio', '-nographic', '-no-reboot'],
  ];
  const machine = { accelerator: 'tcg', memoryMiB: 256, needsModernCpu: false } as const;
  expect(demoQemuCommand(argv, machine)).toEqual([
    ...['qemu-system-x86_64', '-name', 'vm-1', '-machine', 'q35,usb=off', '-blockdev'],
    ...['{"a":"-m"}', '-accel', 'tcg', '-m', '256', '-display', 'none', '-monitor', 'none'],
    ...['-serial', 'stdio', '-no-reboot'],
  ]);
  const own = { accelerator: 'tcg', needsModernCpu: true } as const;
  expect(demoQemuCommand(argv, own).join(' ')).toContain(
    '-m 1024 -blockdev {"a":"-m"} -accel tcg -cpu max',
  );
  const kvm = { accelerator: 'kvm', needsModernCpu: false } as const;
  expect(demoQemuCommand(argv, kvm).join(' ')).toContain('-accel kvm -cpu host');
});

test('boots a disk whose path has a comma', () => {
  const machine = { accelerator: 'kvm', needsModernCpu: false } as const;
  expect(directQemuCommand('/a,b.raw', 'raw', machine)).toContain(
    'file=/a,,b.raw,format=raw,if=virtio,snapshot=on',
  );
});

function touched(indexes: readonly number[], pieceCount: number, length: number): TouchedPieces {
  const pieces = new Bitfield(pieceCount);
  for (const index of indexes) pieces.set(index);
  const bitfield = Buffer.from(pieces.toBytes()).toString('base64');
  return { image: 'i', pieceCount, pieceLength: 100, length, bitfield };
}

test('counts a piece that several nodes touched once, and the last piece by its length', () => {
  expect(bytesNeeded([touched([0, 1], 3, 250), touched([1], 3, 250)])).toBe(200);
  expect(bytesNeeded([touched([1], 3, 250), touched([2], 3, 250)])).toBe(150);
  expect(bytesNeeded([touched([], 3, 250)])).toBe(0);
  expect(bytesNeeded([])).toBe(0);
});

test('refuses a bitfield that does not fit the image', () => {
  const wrong = { ...touched([0], 3, 250), bitfield: 'AAAA' };
  expect(() => bytesNeeded([touched([0], 3, 250), wrong])).toThrow(/does not fit 3 pieces/);
});

const READ = { cache: 2 ** 20, peers: 2 * 2 ** 20, origin: 2 ** 20, zero: 0 };
const BOOTED: GuestResult = {
  ...{ name: 'vm-1', node: 'node-1', read: READ },
  state: { type: 'ready', seconds: 8.26, sha256: SUM },
};
const FAILED: GuestResult = {
  ...{ name: 'vm-2', node: 'node-2', read: { cache: 0, peers: 0, origin: 0, zero: 0 } },
  state: { type: 'failed', reason: 'no marker in 300 s', consoleTail: 'GRUB\nrescue>' },
};
const RESULT: DemoResult = {
  ...{ image: '/d.raw', accelerator: 'tcg', guests: [BOOTED, FAILED] },
  ...{ bytesNeeded: 100 * 2 ** 20, originBytesSent: 102 * 2 ** 20 },
  received: { peers: 200 * 2 ** 20, origin: 101 * 2 ** 20 },
};

test('ends with the summary', () => {
  expect(summary(RESULT)).toBe('1/2 VMs booted, origin sent 1.02 x the bytes needed');
  expect(describeResult(RESULT, 0).split('\n').at(-1)).toBe(summary(RESULT));
});

test('shows every VM, every source, and the console of a VM that failed', () => {
  const text = describeResult(RESULT, 0);
  expect(text).toMatch(/\nvm-1 +node-1 +ready +8\.3 s +1 MiB +2 MiB +1 MiB\n/);
  expect(text).toContain('\nvm-2 failed: no marker in 300 s\n    GRUB\n    rescue>\n');
  expect(text).toMatch(/\ncache +1 MiB +25 % +- /);
  expect(text).toMatch(/\npeers +2 MiB +50 % +200 MiB +another/);
  expect(text).toContain('origin sent 102 MiB; needed were 100 MiB: every piece');
});

test('gives scripts the same numbers', () => {
  expect(resultDocument(RESULT)).toMatchObject({
    ...{ booted: 1, total: 2, originRatio: 1.02, read: READ },
    vms: [{ name: 'vm-1', state: { type: 'ready', seconds: 8.26 } }, { name: 'vm-2' }],
  });
});

test('divides nothing by nothing when no guest read anything', () => {
  const nothing = { ...RESULT, guests: [FAILED], bytesNeeded: 0, originBytesSent: 0 };
  expect(summary(nothing)).toBe('0/1 VMs booted, origin sent 0.00 x the bytes needed');
  expect(describeResult(nothing, 0)).not.toContain('NaN');
});

test('tells the end of each boot once where there is no terminal', () => {
  const terminal = capturedTerminal();
  const view = stormView(terminal.stdout);
  const booting: GuestResult = { ...BOOTED, state: { type: 'booting', startedAt: 0 } };
  for (const guests of [
    [booting, FAILED],
    [BOOTED, FAILED],
    [BOOTED, FAILED],
  ])
    view.update(guests);
  view.end();
  expect(terminal.out).toBe(
    'vm-2 on node-2: no marker in 300 s; read from cache 0 B, peers 0 B, origin 0 B\n' +
      'vm-1 on node-1: ready after 8.3 s; read from cache 1 MiB, peers 2 MiB, origin 1 MiB\n',
  );
});

test('draws its table over the last one on a terminal, and takes it away', () => {
  const terminal = capturedTerminal();
  const view = stormView(Object.assign(terminal.stdout, { isTTY: true, columns: 80 }));
  view.update([BOOTED]);
  view.update([BOOTED]);
  view.end();
  expect(terminal.out.match(/vm-1/g)).toHaveLength(2);
  expect(terminal.out.endsWith('\x1b[2A\x1b[1G\x1b[J')).toBe(true);
});

test('counts VMs where the terminal has fewer lines than the table', () => {
  const terminal = capturedTerminal();
  const view = stormView(Object.assign(terminal.stdout, { isTTY: true, columns: 80, rows: 3 }));
  view.update([BOOTED, FAILED]);
  expect(terminal.out).toBe('1/2 VMs booted, 1 failed\n');
});
