import fc from 'fast-check';
import { expect, test } from 'vitest';
import { left, renderTable, right } from '../src/table.ts';
import { textWidth } from '../src/terminal-text.ts';

test('aligns columns under their titles and leaves no space at the end of a line', () => {
  const table = renderTable(
    [left('NAME'), right('SIZE'), left('STATE')],
    [
      ['debian-12', '2 GiB', 'ready'],
      ['a', '512 MiB', ''],
    ],
  );
  expect(table).toBe(
    ['NAME          SIZE  STATE', 'debian-12    2 GiB  ready', 'a          512 MiB'].join('\n'),
  );
});

test('shows the titles alone when there are no rows', () => {
  expect(renderTable([left('A'), right('B')], [])).toBe('A  B');
});

test('cuts the widest text, and no number, until the table fits', () => {
  const row = ['a-very-long-name-of-an-image', '123456789012', 'short'];
  const table = renderTable([left('NAME'), right('BYTES'), left('STATE')], [row], 40);
  expect(table.split('\n')[1]).toBe('a-very-long-name-o…  123456789012  short');
});

test('counts wide characters as two columns', () => {
  const table = renderTable(
    [left('NAME'), left('X')],
    [
      ['日本', 'x'],
      ['abcd', 'x'],
    ],
  );
  expect(table).toBe('NAME  X\n日本  x\nabcd  x');
});

test('never lets a cell move the cursor or break a line', () => {
  const table = renderTable([left('NAME')], [['\x1b[2Jevil\nname\u202e']]);
  expect(table).toBe('NAME\n\\u{1b}[2Jevil\\u{a}name\\u{202e}');
});

test('fits any rows of text into any width that leaves room for it', () => {
  const rows = fc.array(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 3, maxLength: 3 }));
  fc.assert(
    fc.property(rows, fc.integer({ min: 28, max: 120 }), (cells, width) => {
      const lines = renderTable([left('A'), left('B'), left('C')], cells, width).split('\n');
      expect(lines).toHaveLength(cells.length + 1);
      for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(width);
    }),
  );
});
