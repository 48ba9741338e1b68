/**
 * What an operator is to be told, and when it is over: every rule is here, as a function of facts and time. Raised once the
 * facts say so, cleared after a while without; who measures, logs and shows them is elsewhere.
 */

export const ALARM_CODES = [
  'read-waiting',
  'origin-fallback',
  'image-not-spreading',
  'disk-nearly-full',
] as const;
export type AlarmCode = (typeof ALARM_CODES)[number];

export interface Alarm {
  readonly code: AlarmCode;
  /** Where it is: a node, or `tracker`. */
  readonly node: string;
  /** What it is about: the name of an image, or a directory. */
  readonly subject: string;
  /** What is the matter, with figures. */
  readonly reason: string;
  /** What to do. */
  readonly hint: string;
  /** RFC 3339. */
  readonly since: string;
}
