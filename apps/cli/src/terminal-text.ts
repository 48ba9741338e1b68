/** Text for a terminal: what came from elsewhere made harmless, how many columns it takes, cut to fit. */

/** Characters that drive a terminal or hide what is written: controls, formats (bidi among them), lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Two columns each: East Asian scripts, full-width forms, emoji. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff01-\uff60\p{Emoji_Presentation}]/u;
const COMBINING = /\p{M}/u;

/** `text` with every unprintable character written as `\u{hex}`. Names and messages of a daemon go through this. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** Columns that printable `text` takes. */
export function textWidth(text: string): number {
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** `text` if it fits into `widthMax` columns, else its beginning and '…'. */
export function cutToWidth(text: string, widthMax: number): string {
  if (textWidth(text) <= widthMax) return text;
  let cut = '';
  let width = 1;
  for (const char of text) {
    width += charWidth(char);
    if (width > widthMax) break;
    cut += char;
  }
  return `${cut}…`;
}

function charWidth(char: string): number {
  if (COMBINING.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}
