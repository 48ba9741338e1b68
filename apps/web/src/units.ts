/** Figures as people read them: bytes in 1024s as the command line has them, shares, counts, times. */

const LETTERS = ['', 'K', 'M', 'G', 'T', 'P'];
const COUNTS = new Intl.NumberFormat('en-US');
const CLOCK = new Intl.DateTimeFormat('en-GB', {
  ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' },
});
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

export interface Amount {
  readonly number: string;
  readonly unit: string;
}

/** `{ number: '12.5', unit: 'MiB' }`: apart, so that columns line up at the end of the number. */
export function amountOf(bytes: number): Amount {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), LETTERS.length - 1);
  const value = bytes / 1024 ** power;
  const digits = power === 0 || value >= 100 ? 0 : 1;
  return { number: value.toFixed(digits), unit: power === 0 ? 'B' : `${LETTERS[power]}iB` };
}

export function bytesText(bytes: number): string {
  const { number, unit } = amountOf(bytes);
  return `${number} ${unit}`;
}

export function rateText(bytesPerSecond: number): string {
  return `${bytesText(bytesPerSecond)}/s`;
}

/** `0 %`, `0.25 %`, `3.5 %`, `42 %`: a small share is what the origin's should be, and needs its digits. */
export function percentText(share: number): string {
  const percent = share * 100;
  const digits = percent === 0 || percent >= 10 ? 0 : percent >= 1 ? 1 : 2;
  return `${percent.toFixed(digits)} %`;
}

export function countText(count: number): string {
  return COUNTS.format(count);
}

/** `1 node`, `2,000 nodes`. */
export function countOf(count: number, noun: string, plural = `${noun}s`): string {
  return `${countText(count)} ${count === 1 ? noun : plural}`;
}

/** Time of day where the reader is. */
export function clockText(ms: number): string {
  return CLOCK.format(ms);
}

export function dayText(ms: number): string {
  return DAY.format(ms);
}

/** The two largest units: `45 s`, `3 min 20 s`, `5 h 10 min`, `12 d 3 h`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400)
    return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}
