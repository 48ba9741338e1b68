import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const CSS = readFileSync(new URL('../src/style/theme.css', import.meta.url), 'utf8');
const [light, dark] = [...CSS.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) =>
  Object.fromEntries(
    [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, color]) => [name, color]),
  ),
);

/** WCAG 2.2, relative luminance. */
function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dim, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dim + 0.05);
}

describe.each([
  ['light', light],
  ['dark', dark],
])('in the %s scheme', (_, colors) => {
  test.each([
    ...['text', 'muted', 'link', 'bad'].flatMap((name) => [
      [name, 'card'],
      [name, 'ground'],
    ]),
    ['text', 'bad-ground'],
    ['card', 'bad'],
  ])('%s on %s can be read', (ink, ground) => {
    expect(contrast(colors[ink], colors[ground])).toBeGreaterThanOrEqual(4.5);
  });

  test.each(['cache', 'peers', 'origin', 'vms', 'good', 'edge'])(
    'areas and lines in %s stand out',
    (name) => {
      expect(contrast(colors[name], colors.card)).toBeGreaterThanOrEqual(3);
    },
  );
});
