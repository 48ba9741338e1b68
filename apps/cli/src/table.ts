/** Lays out rows under titles in aligned columns of plain text; a table wider than the terminal loses text, not shape. */
import { assert } from '@bootswarm/stdx';
import { cutToWidth, printable, textWidth } from './terminal-text.ts';

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

const GAP = '  ';
/** A column is cut no narrower than this: a prefix of a name or id still tells which one it is. */
const WIDTH_MIN = 8;

export function left(title: string): Column {
  return { title, align: 'left' };
}

export function right(title: string): Column {
  return { title, align: 'right' };
}

/** Lines joined by newlines, none at the end. `widthMax` in columns; left out, nothing is cut. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  widthMax = Number.POSITIVE_INFINITY,
): string {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map(printable))];
  for (const row of cells) assert(row.length === columns.length, `table row of ${row.length}`);
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => textWidth(row[at]))));
  narrow(columns, widths, widthMax);
  const lines = cells.map((row) =>
    columns.map(({ align }, at) => pad(cutToWidth(row[at], widths[at]), widths[at], align)),
  );
  return lines.map((line) => line.join(GAP).trimEnd()).join('\n');
}

/** Takes columns of text, widest first, one by one off `widths` until the table fits; numbers are never cut. */
function narrow(columns: readonly Column[], widths: number[], widthMax: number): void {
  const total = () => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
  while (total() > widthMax) {
    const texts = columns.flatMap(({ align }, at) => (align === 'left' ? [at] : []));
    const widest = texts.reduce((best, at) => (widths[at] > widths[best] ? at : best), texts[0]);
    if (widest === undefined || widths[widest] <= WIDTH_MIN) return;
    widths[widest] -= 1;
  }
}

function pad(text: string, width: number, align: Column['align']): string {
  const spaces = ' '.repeat(width - textWidth(text));
  return align === 'left' ? text + spaces : spaces + text;
}
