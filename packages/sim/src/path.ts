/** The way from one host to another: how long it takes, what it shares with other hosts, and whether anything passes. */
import type { Link } from './link.ts';

export class Path {
  readonly latencyMs: number;
  /** The capacity from one zone to another; undefined: within a zone, or unlimited. */
  readonly pipe: Link | undefined;
  isCut = false;
  cloggedUntil = 0;

  constructor(latencyMs: number, pipe: Link | undefined) {
    this.latencyMs = latencyMs;
    this.pipe = pipe;
  }

  /** When what waits at the far end of the path may pass; Infinity while it is cut. */
  get passableAt(): number {
    return this.isCut ? Infinity : this.cloggedUntil;
  }

  /** When a packet sent at `now` arrives; Infinity when it is lost. */
  arrivalOf(now: number): number {
    return Math.max(now + this.latencyMs, this.passableAt);
  }
}
